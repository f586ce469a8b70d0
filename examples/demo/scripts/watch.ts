/** Tells of changes in a folder until it is stopped, as a development server would. It never ends by itself. */
import { watch } from 'node:fs'

const [root = '.'] = process.argv.slice(2)

/** Keeps the process there even where the folder cannot be watched, until who has started it is gone. */
const parent = process.ppid
setInterval(() => {
  if (process.ppid !== parent) process.exit()
}, 500)

try {
  watch(root, (kind, name) => process.stdout.write(`${kind} ${name ?? ''}\n`)).on('error', () => undefined)
} catch {
  // no more watches to be had: it has nothing to tell
}
