import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";
import { mockBackend } from "./mock/plugin.ts";

// ETUDE_API=http://127.0.0.1:3000 npm run dev  uses a running etude instead of the mock.
const backend = process.env["ETUDE_API"];

export default defineConfig({
  // The mock answers /api and /etude.json for `npm run dev` only: it is a server plugin, so no line of it can reach dist.
  plugins: [svelte(), ...(backend ? [] : [mockBackend()])],
  server: backend ? { proxy: { "/api": backend, "/etude.json": backend } } : {},
  build: {
    target: "es2022",
    sourcemap: false,
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
    // The notices that the licences of the bundled libraries ask for.
    license: { fileName: "licenses.txt" },
    // Nothing may be inlined as data: URLs, so that the content security policy can stay at 'self'.
    assetsInlineLimit: 0,
  },
  test: { include: ["src/**/*.test.ts"], environment: "node" },
});
