/** `npm run example <name>`: builds the package and the examples and runs one; without a name, lists them. */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { root } from './entry-points.mjs'

const [name = '', ...more] = process.argv.slice(2)
const names = readdirSync(`${root}/examples`, { withFileTypes: true })
  .filter((entry) => entry.name.endsWith('.ts') || existsSync(`${root}/examples/${entry.name}/main.ts`))
  .map((entry) => entry.name.replace(/\.ts$/, ''))

if (names.includes(name)) {
  execFileSync('npm', ['run', '--silent', 'build'], { cwd: root, stdio: 'inherit' })
  execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'examples'], { cwd: root, stdio: 'inherit' })
  const folder = existsSync(`${root}/examples/${name}/main.ts`)
  const program = `${root}/build/examples/${folder ? `${name}/main` : name}.js`
  process.exitCode = spawnSync(process.execPath, [program, ...more], { stdio: 'inherit' }).status ?? 1
} else {
  const unknown = name === '' ? '' : `example: no example '${name}'\n`
  process.stderr.write(`${unknown}npm run example <name>, one of: ${names.join(', ')}\n`)
  process.exitCode = 2
}
