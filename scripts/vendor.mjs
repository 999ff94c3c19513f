// Copies the chart library, with its licences, to where the page loads it from.
import { cp, mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

const root = new URL('../', import.meta.url);
const copies = {
  'node_modules/chart.js/dist/chart.umd.min.js': 'static/vendor/chart.umd.min.js',
  'node_modules/chart.js/LICENSE.md': 'static/vendor/chart.LICENSE.md',
  // Bundled into Chart.js.
  'node_modules/@kurkle/color/LICENSE.md': 'static/vendor/color.LICENSE.md',
};

await mkdir(new URL('static/vendor/', root), { recursive: true });
for (const [from, to] of Object.entries(copies)) {
  await cp(fileURLToPath(new URL(from, root)), fileURLToPath(new URL(to, root)));
}
