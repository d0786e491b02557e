import { svelte } from "@sveltejs/vite-plugin-svelte";
import type { Plugin, Rolldown } from "vite";
import { defineConfig } from "vitest/config";
import { mockBackend, prometheusViews } from "./mock/plugin.ts";

// ETUDE_API=http://127.0.0.1:3000 npm run dev  uses a running etude instead of the mock.
const backend = process.env["ETUDE_API"];
/** ETUDE_PROMETHEUS=http://127.0.0.1:9090 asks a running Prometheus for metrics. */
const prometheus = process.env["ETUDE_PROMETHEUS"] ?? backend;

/** ETUDE_EDGE=http://127.0.0.1:8080 shows a running edge on /dashboard.html. */
const edge = process.env["ETUDE_EDGE"];

export default defineConfig({
  // The mock answers /api and /etude.json for `npm run dev` only: it is a server plugin, so no line of it can reach dist.
  plugins: [svelte(), appAtOnce(), prometheusViews(), ...(backend ? [] : [mockBackend()])],
  server: { proxy: proxies() },
  // The edge serves its dashboard below a path of its own, so that page names its files relative to itself. The views of the
  // other pages lie at different depths, so these name them from the root.
  experimental: { renderBuiltUrl: (name, { hostId, hostType }) => (hostType !== "html" ? { relative: true } : hostId.endsWith("dashboard.html") ? `./${name}` : { relative: false }) },
  build: {
    target: "es2022",
    rolldownOptions: { input: ["index.html", "prometheus.html", "dashboard.html"] },
    sourcemap: false,
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
    // The notices that the licences of the bundled libraries ask for.
    license: { fileName: "licenses.txt" },
    // Nothing may be inlined as data: URLs, so that the content security policy can stay at 'self'.
    assetsInlineLimit: 0,
  },
  // The time-out ends a test that hangs, however busy the machine is.
  test: { include: ["src/**/*.test.ts"], environment: "node", testTimeout: 300_000 },
});

/**
 * main.ts imports the app when it runs. index.html names the files of the app, so that the browser need not wait for
 * main.ts to fetch them.
 */
function appAtOnce(): Plugin {
  const app = (bundle: Rolldown.OutputBundle): { scripts: Set<string>; styles: Set<string> } => {
    const [scripts, styles] = [new Set<string>(), new Set<string>()];
    const add = (name: string): void => {
      const chunk = bundle[name];
      if (chunk?.type !== "chunk" || scripts.has(name)) return;
      scripts.add(name);
      for (const style of chunk.viteMetadata?.importedCss ?? []) styles.add(style);
      chunk.imports.forEach(add);
    };
    for (const chunk of Object.values(bundle)) if (chunk.type === "chunk" && chunk.facadeModuleId?.endsWith("/src/app.ts")) add(chunk.fileName);
    return { scripts, styles };
  };
  return {
    name: "app-at-once",
    apply: "build",
    transformIndexHtml: {
      order: "post",
      handler(html, { bundle, filename }) {
        if (!bundle || !filename.endsWith("/index.html")) return html;
        const { scripts, styles } = app(bundle);
        const link = (rel: string, name: string) => ({ tag: "link", attrs: { rel, crossorigin: true, href: `/${name}` }, injectTo: "head" as const });
        const missing = (names: Set<string>): string[] => [...names].filter((name) => !html.includes(`/${name}"`));
        return [...missing(scripts).map((name) => link("modulepreload", name)), ...missing(styles).map((name) => link("stylesheet", name))];
      },
    },
  };
}

/** The start page of Prometheus has its API on its own origin, the page has it below /prometheus. */
function proxies(): Record<string, string | { target: string; rewrite?: (path: string) => string }> {
  const made: ReturnType<typeof proxies> = {};
  if (edge) for (const path of ["rawdata", "entrypoints", "stats", "version"]) made[`/api/${path}`] = edge;
  if (prometheus) {
    made["/prometheus/api"] = prometheus === backend ? prometheus : { target: prometheus, rewrite: (path) => path.slice("/prometheus".length) };
    made["/api/v1"] = prometheus;
  }
  if (backend) Object.assign(made, { "/api": backend, "/etude.json": backend });
  return made;
}
