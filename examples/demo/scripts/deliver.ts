/** Copies a file into a folder, which has to be there. */
import { copyFileSync } from 'node:fs'
import { basename, join } from 'node:path'

const [file = '', folder = ''] = process.argv.slice(2)
try {
  copyFileSync(file, join(folder, basename(file)))
} catch {
  process.stderr.write(`the folder ${basename(folder)} does not exist\n`)
  process.exitCode = 1
}
