/**
 * Checks the package as users get it: packs the tarball, looks at what is in it, lints it, installs it into an empty
 * project without any optional peer, imports and requires each entry point, type-checks a consumer, and measures the
 * main entry. Expects a current dist (`npm run pack-check` builds first).
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, posix } from 'node:path'
import { gzipSync } from 'node:zlib'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'
import { rolldown } from 'rolldown'
import { entryPoints, manifest, root } from './entry-points.mjs'

/** Minified and gzipped bytes, all exports of the entry together: /testing holds the queue that `simulate` runs. Raise one only with the reason in the commit. */
const sizeLimits = /** @type {Record<string, number>} */ ({ '.': 80_000, './testing': 105_000 })

/** Entries whose declarations name an optional peer's types, or Node's. */
const needPeers = ['./storage', './bullmq', './workers', './otel', './prometheus', './agent']

/** What may be in the tarball. Anything else (tests, notes, stray build output) is an error. */
const allowed = [
  /^package\.json$/,
  /^(README|CHANGELOG)\.md$/,
  /^LICENSE$/,
  /^dist\/.+\.(js|d\.ts)(\.map)?$/,
  /^src\/.+\.ts$/,
]
const required = ['package.json', 'README.md', 'LICENSE', ...entryPoints().flatMap(({ js, types }) => [js, types])]

/** @type {string[]} */
const problems = []
const scratch = mkdtempSync(join(tmpdir(), 'lane-pack-'))

try {
  const { tarball, files } = pack()
  checkFiles(files)
  await lint(tarball)
  checkTypeResolution(tarball)
  const project = install(tarball)
  checkMaps(project, files)
  checkImports(project)
  checkRequires(project)
  checkConsumerTypes(project)
  for (const entry of entryPoints()) await measure(project, entry)
} finally {
  rmSync(scratch, { recursive: true, force: true })
}

for (const problem of problems) say(`problem: ${problem}`)
process.exitCode = problems.length === 0 ? 0 : 1

/** @param {string} line */
function say(line) {
  process.stdout.write(`${line}\n`)
}

/**
 * @param {string} command
 * @param {readonly string[]} args
 * @param {string} [cwd]
 */
function run(command, args, cwd = root) {
  return execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}

/** Runs a command whose failure is a problem of the package, not of this script.
 * @param {string} what
 * @param {() => string} action
 */
function attempt(what, action) {
  try {
    return action()
  } catch (error) {
    const { stdout = '', stderr = '' } = /** @type {{ stdout?: string, stderr?: string }} */ (error)
    problems.push(`${what}\n${stdout}${stderr}`.trimEnd())
    return ''
  }
}

function pack() {
  const output = run('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', scratch])
  const [packed] = /** @type {[{ filename: string, size: number, files: { path: string }[] }]} */ (JSON.parse(output))
  say(`tarball: ${packed.files.length} files, ${kilobytes(packed.size)} packed`)
  return { tarball: join(scratch, packed.filename), files: packed.files.map(({ path }) => path) }
}

/** @param {readonly string[]} files */
function checkFiles(files) {
  for (const file of files) {
    if (!allowed.some((pattern) => pattern.test(file))) problems.push(`${file} is in the tarball and on no allow-list`)
    const source = file.replace(/^dist\//, 'src/').replace(/(\.d\.ts|\.js)(\.map)?$/, '.ts')
    if (file.startsWith('dist/') && !files.includes(source)) problems.push(`${file} is built from nothing in src`)
  }
  for (const file of required) if (!files.includes(file)) problems.push(`${file} is missing from the tarball`)
}

/** @param {string} tarball */
async function lint(tarball) {
  const file = readFileSync(tarball)
  const bytes = file.buffer.slice(file.byteOffset, file.byteOffset + file.byteLength)
  const { messages, pkg } = await publint({ pack: { tarball: /** @type {ArrayBuffer} */ (bytes) }, strict: true })
  for (const message of messages) problems.push(`publint: ${formatMessage(message, pkg, { color: false })}`)
  say(`publint: ${messages.length} messages`)
}

/** Are the types wrong? ESM only is what we are: no CommonJS twin is expected. @param {string} tarball */
function checkTypeResolution(tarball) {
  const attw = join(root, 'node_modules/.bin/attw')
  attempt('attw', () => run(attw, [tarball, '--profile', 'esm-only', '--no-emoji', '--no-color', '--format', 'ascii']))
  say('attw: esm-only profile')
}

/** An empty project with nothing but the tarball in it: no optional peer, no registry. @param {string} tarball */
function install(tarball) {
  const project = join(scratch, 'project')
  mkdirSync(project)
  writeFileSync(join(project, 'package.json'), '{ "name": "consumer", "private": true, "type": "module" }\n')
  run('npm', ['install', '--offline', '--ignore-scripts', '--no-audit', '--no-fund', tarball], project)
  return project
}

/** Source and declaration maps lead to files that are there. @param {string} project @param {readonly string[]} files */
function checkMaps(project, files) {
  const installed = join(project, 'node_modules', manifest.name)
  for (const file of files.filter((name) => name.endsWith('.map'))) {
    const { sources } = /** @type {{ sources: string[] }} */ (JSON.parse(readFileSync(join(installed, file), 'utf8')))
    const lost = sources.filter((source) => !existsSync(join(installed, posix.dirname(file), source)))
    for (const source of lost) problems.push(`${file} points at ${source}, which is not in the tarball`)
  }
}

/** @param {string} project */
function checkImports(project) {
  for (const { specifier } of entryPoints()) {
    const code = `const m = await import('${specifier}'); if (Object.keys(m).length === 0) throw new Error('no exports')`
    attempt(`import('${specifier}')`, () => run(process.execPath, ['--input-type=module', '-e', code], project))
    say(`import: ${specifier}`)
  }
}

/** No entry uses top-level await, so CommonJS can require it where Node can. @param {string} project */
function checkRequires(project) {
  const { require_module: canRequire } = /** @type {{ require_module?: boolean }} */ (process.features)
  for (const { specifier } of entryPoints()) {
    if (!canRequire) {
      say(`require: ${specifier} skipped: Node ${process.version} cannot require an ES module (20.19 and later can)`)
      continue
    }
    const code = `if (Object.keys(require('${specifier}')).length === 0) throw new Error('no exports')`
    attempt(`require('${specifier}')`, () => run(process.execPath, ['--input-type=commonjs', '-e', code], project))
    say(`require: ${specifier}`)
  }
}

/**
 * The declarations compile for a user who does not skip checking libraries: those of the entries that need nothing without
 * another package, all of them with the optional peers and Node's types.
 * @param {string} project
 */
function checkConsumerTypes(project) {
  const entries = entryPoints()
  checkTypes(
    project,
    'alone.ts',
    entries.filter(({ subpath }) => !needPeers.includes(subpath)),
  )
  say('types: a consumer with no other package compiles')
  for (const name of [...manifest.peers, '@types/node', 'undici-types']) {
    const link = join(project, 'node_modules', name)
    mkdirSync(dirname(link), { recursive: true })
    symlinkSync(join(root, 'node_modules', name), link)
  }
  checkTypes(project, 'with-peers.ts', entries, ['--types', 'node'])
  say('types: a consumer with the optional peers compiles')
}

/**
 * @param {string} project
 * @param {string} file
 * @param {import('./entry-points.mjs').EntryPoint[]} entries
 * @param {readonly string[]} [more]  options of the compiler
 */
function checkTypes(project, file, entries, more = []) {
  const lines = entries.map(({ specifier }, index) => `import * as m${index} from '${specifier}'\nvoid m${index}\n`)
  writeFileSync(join(project, file), lines.join(''))
  const tsc = join(root, 'node_modules/.bin/tsc')
  const options = ['--strict', '--noEmit', '--skipLibCheck', 'false', '--module', 'nodenext', '--target', 'es2022']
  const libraries = ['--lib', 'es2022,esnext.disposable,dom']
  attempt(`types of ${file}`, () => run(tsc, [...options, ...libraries, ...more, file], project))
}

/** @param {string} project @param {import('./entry-points.mjs').EntryPoint} entry */
async function measure(project, { subpath, specifier }) {
  const input = join(project, 'all.mjs')
  writeFileSync(input, `export * from '${specifier}'\n`)
  const bundle = await rolldown({ input, cwd: project, platform: 'neutral', logLevel: 'silent' })
  const { output } = await bundle.generate({ minify: true })
  await bundle.close()
  const size = gzipSync(output.map((chunk) => ('code' in chunk ? chunk.code : '')).join(''), { level: 9 }).length
  const limit = sizeLimits[subpath]
  if (limit !== undefined && size > limit)
    problems.push(`${specifier} is ${kilobytes(size)}, more than ${kilobytes(limit)}`)
  say(
    `size: ${specifier} ${kilobytes(size)} minified and gzipped${limit === undefined ? '' : ` (limit ${kilobytes(limit)})`}`,
  )
}

/** @param {number} bytes */
function kilobytes(bytes) {
  return `${(bytes / 1000).toFixed(1)} kB`
}
