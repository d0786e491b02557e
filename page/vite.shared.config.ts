import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

// The parts of a shared file: the same views as one script and one style sheet, to be written into an HTML file.
export default defineConfig({
  plugins: [svelte()],
  define: { "process.env.NODE_ENV": '"production"' },
  publicDir: false,
  build: {
    target: "es2022",
    emptyOutDir: false,
    sourcemap: false,
    assetsInlineLimit: 0,
    lib: { entry: "src/shared.ts", formats: ["iife"], name: "etudeShared", fileName: () => "shared.js", cssFileName: "shared" },
  },
});
