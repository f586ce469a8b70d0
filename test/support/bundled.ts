/** Programs of the tests as processes of their own, with the package's source in them: nothing has to be built first. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { rolldown } from 'rolldown'
import { entryPoints, root } from '../../scripts/entry-points.mjs'

/** Longer specifiers first: the package's name begins those of its subpaths. */
const alias = Object.fromEntries(
  entryPoints()
    .map(({ specifier, source }): [string, string] => [specifier, join(root, source)])
    .sort(([a], [b]) => b.length - a.length),
)

/** Writes a program as one file that Node runs; other packages are looked for from where the file is. */
export async function bundle(program: URL, file: string): Promise<void> {
  const build = await rolldown({
    input: fileURLToPath(program),
    platform: 'node',
    external: /^(@opentelemetry\/|prom-client$)/,
    resolve: { alias },
    tsconfig: false,
    logLevel: 'silent',
  })
  await build.write({ file, format: 'esm' })
  await build.close()
}

/** Runs a file to its end and gives what it printed. */
export async function outputOf(file: string, ...args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [file, ...args])
  return stdout
}
