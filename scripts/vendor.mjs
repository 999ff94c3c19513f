// Builds static/vendor: copies libraries and the typeface with their licences, and bundles the dashboard's modules.
import { cp, mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = new URL('../', import.meta.url);
const inter = 'node_modules/@fontsource-variable/inter';
const copies = {
  'node_modules/chart.js/dist/chart.umd.min.js': 'static/vendor/chart.umd.min.js',
  'node_modules/chart.js/LICENSE.md': 'static/vendor/chart.LICENSE.md',
  // Bundled into Chart.js.
  'node_modules/@kurkle/color/LICENSE.md': 'static/vendor/color.LICENSE.md',
  // For the API page. The last file names the licences of the bundled code.
  'node_modules/swagger-ui-dist/swagger-ui-bundle.js': 'static/vendor/swagger-ui-bundle.js',
  'node_modules/swagger-ui-dist/swagger-ui.css': 'static/vendor/swagger-ui.css',
  'node_modules/swagger-ui-dist/LICENSE': 'static/vendor/swagger-ui.LICENSE',
  'node_modules/swagger-ui-dist/NOTICE': 'static/vendor/swagger-ui.NOTICE',
  'node_modules/swagger-ui-dist/swagger-ui-bundle.js.LICENSE.txt': 'static/vendor/swagger-ui-bundle.js.LICENSE.txt',
  [`${inter}/files/inter-latin-wght-normal.woff2`]: 'static/vendor/inter-latin.woff2',
  [`${inter}/files/inter-latin-ext-wght-normal.woff2`]: 'static/vendor/inter-latin-ext.woff2',
  [`${inter}/LICENSE`]: 'static/vendor/inter.LICENSE',
};

await mkdir(new URL('static/vendor/', root), { recursive: true });
for (const [from, to] of Object.entries(copies)) {
  await cp(fileURLToPath(new URL(from, root)), fileURLToPath(new URL(to, root)));
}

const file = (name) => fileURLToPath(new URL(name, root));
await build({
  entryPoints: [file('static/script.js')],
  outfile: file('static/vendor/page.js'),
  bundle: true,
  minify: true,
  format: 'esm',
  target: 'es2023',
});
