// Removes build output. Only folders that can be built again may be named.
import { rmSync } from 'node:fs'

const generated = new Set(['dist', 'build', 'coverage'])
const root = new URL('../', import.meta.url)

for (const folder of process.argv.slice(2)) {
  if (!generated.has(folder)) throw new Error(`clean: '${folder}' is not a generated folder`)
  rmSync(new URL(folder, root), { recursive: true, force: true })
}
