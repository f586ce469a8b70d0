/**
 * Who may import whom. ARCHITECTURE.md draws it; this table decides it.
 *
 * One package has no package manager between its folders, so this is what keeps the seams seams: a folder reaches
 * another only where the table says so, and only through that folder's index.ts.
 */
import { posix } from 'node:path'
import ts from 'typescript'
import { type Import, type Project, type SourceUnit, walk } from './project.js'

type Layer = {
  /** Folders it may import, through their index.ts. */
  readonly folders: readonly string[]
  /** Folders it may import types from, and nothing that exists at run time. */
  readonly typesFrom?: readonly string[]
  /** Single files it may import past their folder's index.ts, each for the reason given. */
  readonly files?: Readonly<Record<string, string>>
  /** Packages it may import: the optional peers of its subpath. Default none. */
  readonly packages?: readonly string[]
  /** Whether it runs on Node alone and may import `node:*`. Default false: it runs everywhere. */
  readonly node?: boolean
}

/** The folder of src/index.ts. */
const PUBLIC_INDEX = '(index)'

export const layers: Readonly<Record<string, Layer>> = {
  [PUBLIC_INDEX]: { folders: ['core', 'policy', 'observe', 'sdk'] },
  // what users give a queue and read from it: their types, nothing that runs
  core: { folders: ['policy'], typesFrom: ['observe'] },
  policy: {
    folders: [],
    files: {
      'src/core/errors.ts': 'a bad option is a LaneError, and core/index.ts imports policy: it would be a cycle',
      'src/core/heap.ts': 'who waits for a group stands in a heap, a structure that knows nothing of core',
    },
  },
  observe: { folders: ['core', 'policy'] },
  'observe/otel': { folders: ['core', 'observe', 'peer'], packages: ['@opentelemetry/api'], node: true },
  'observe/prometheus': { folders: ['core', 'observe', 'peer'], packages: ['prom-client'], node: true },
  peer: { folders: ['core'], node: true },
  sdk: { folders: ['core', 'policy'] },
  testing: { folders: ['core', 'policy'] },
  storage: { folders: ['core', 'peer'], packages: ['better-sqlite3'], node: true },
  bullmq: { folders: ['core', 'peer'], packages: ['bullmq', 'ioredis', 'pg'], node: true },
  workers: { folders: ['core', 'peer'], packages: ['piscina'], node: true },
  session: { folders: ['core', 'policy', 'observe'] },
  agent: {
    folders: ['core', 'policy', 'peer', 'session', 'storage'],
    packages: ['ai', '@ai-sdk/openai-compatible', '@cdktf/hcl2json', 'diff', 'globby', 're2js', 'turndown', 'zod'],
    node: true,
  },
  client: { folders: [], typesFrom: ['core'] },
  server: { folders: ['core', 'observe'], packages: ['hono', '@hono/node-server', 'hono-openapi', 'zod'], node: true },
  cli: {
    folders: ['core', 'policy', 'observe', 'storage', 'bullmq', 'workers', 'session', 'agent', 'server', 'client'],
    packages: ['commander', 'log-update'],
    node: true,
  },
}

/** 'src/observe/otel/spans.ts' -> 'observe/otel' when the table has a row for it, else 'observe'. */
function layerOf(path: string): string {
  const folders = path.split('/').slice(1, -1)
  if (folders.length === 0) return PUBLIC_INDEX
  const nested = folders.slice(0, 2).join('/')
  return nested in layers ? nested : (folders[0] ?? PUBLIC_INDEX)
}

const inSrc = (path: string): boolean => path.startsWith('src/')

export function findLayerViolations(project: Project): string[] {
  return project.sources
    .filter(({ path }) => inSrc(path))
    .flatMap((unit) => {
      const name = layerOf(unit.path)
      const layer = layers[name]
      if (!layer) return [`${unit.path} is in src/${name}, which has no row in test/house/layers.ts: add one`]
      return unit.imports.flatMap((found) => {
        const objection =
          found.target === undefined ? packageObjection(layer, found) : fileObjection(layer, unit, found, found.target)
        return objection === undefined ? [] : [`${unit.path}:${found.line} imports ${found.specifier}: ${objection}`]
      })
    })
}

function packageObjection(layer: Layer, { specifier }: Import): string | undefined {
  if (specifier.startsWith('node:')) {
    return layer.node ? undefined : 'this folder runs everywhere, not only on Node: reach the platform through a seam'
  }
  const allowed = layer.packages ?? []
  if (allowed.some((name) => specifier === name || specifier.startsWith(`${name}/`))) return undefined
  return `this folder may import ${allowed.length === 0 ? 'no package' : `only the packages ${allowed.join(', ')}`}`
}

function fileObjection(layer: Layer, unit: SourceUnit, found: Import, target: string): string | undefined {
  if (!inSrc(target)) return 'it is outside src'
  const name = layerOf(unit.path)
  const other = layerOf(target)
  if (other !== name && !mayReach(layer, other, found, target)) {
    const allowed = layer.folders.length === 0 ? 'nothing' : layer.folders.join(', ')
    const typesToo = layer.typesFrom?.includes(other) ? ` (of ${other} types only: use 'import type')` : ''
    return `${name} may import ${allowed} and not ${other}${typesToo}`
  }
  if (target in (layer.files ?? {})) return undefined
  return throughIndex(unit.path, target) ? undefined : `import it through ${posix.dirname(target)}/index.ts`
}

function mayReach(layer: Layer, other: string, found: Import, target: string): boolean {
  if (layer.folders.includes(other) || target in (layer.files ?? {})) return true
  return found.typeOnly && (layer.typesFrom ?? []).includes(other)
}

/** A file reaches its own folder and the ones above it directly, every other folder through that folder's index.ts. */
function throughIndex(from: string, target: string): boolean {
  const folder = posix.dirname(target)
  const own = posix.dirname(from)
  const isOwnOrAbove = layerOf(from) === layerOf(target) && `${own}/`.startsWith(`${folder}/`)
  return isOwnOrAbove || posix.basename(target) === 'index.ts'
}

/**
 * Cycles between files, over what remains at run time. A type-only import is erased and closes no cycle: a context
 * that names the queue's type and a queue that makes contexts may refer to each other.
 */
export function findCycles(project: Project): string[] {
  const edges = new Map(
    project.sources.map((unit) => [
      unit.path,
      unit.imports.flatMap(({ typeOnly, target }) => (typeOnly || !target ? [] : [target])),
    ]),
  )
  const cycles = new Map<string, string>()
  const done = new Set<string>()
  const visit = (path: string, trail: readonly string[]): void => {
    const start = trail.indexOf(path)
    if (start >= 0) {
      const cycle = trail.slice(start)
      cycles.set([...cycle].sort(byText).join(), `import cycle: ${[...cycle, path].join(' -> ')}`)
      return
    }
    if (done.has(path)) return
    for (const target of edges.get(path) ?? []) visit(target, [...trail, path])
    done.add(path)
  }
  for (const path of edges.keys()) visit(path, [])
  return [...cycles.values()]
}

const byText = (a: string, b: string): number => (a < b ? -1 : 1)

/** What policies are called. The scheduler orders lanes by neutral facts: shut, lifted, owed a slot, kept back. */
const POLICY_NAMES = /rate|retry|boost|preempt|fair|dedupe|breaker|checkpoint|urgen/i
const SCHEDULER = 'src/core/scheduler.ts'

/** The names of policies in the scheduler: in its code, not in its comments. */
export function findPolicyNames(project: Project): string[] {
  const names = new Set<string>()
  for (const { path, ast } of project.sources) {
    if (path !== SCHEDULER) continue
    walk(ast, (node) => {
      if (ts.isIdentifier(node) && POLICY_NAMES.test(node.text)) names.add(node.text)
    })
  }
  return [...names].map((name) => `${SCHEDULER} names a policy: ${name}`)
}

/** Every folder of src that holds sources has an index.ts, and an index.ts holds re-exports and nothing else. */
export function findIndexViolations(project: Project): string[] {
  const sources = project.sources.filter(({ path }) => inSrc(path))
  const paths = new Set(sources.map(({ path }) => path))
  const folders = new Set([...paths].map((path) => posix.dirname(path)))
  const missing = [...folders]
    .filter((folder) => !paths.has(`${folder}/index.ts`))
    .map((folder) => `${folder} has no index.ts`)
  const withCode = sources.filter(({ path }) => path.endsWith('/index.ts')).flatMap(findCodeInIndex)
  return [...missing, ...withCode]
}

function findCodeInIndex({ path, ast }: SourceUnit): string[] {
  return ast.statements.flatMap((statement) => {
    const text = statement.getText(ast)
    if (/^export\s+(type\s+)?[{*]/.test(text) && / from /.test(text)) return []
    const line = ast.getLineAndCharacterOfPosition(statement.getStart(ast)).line + 1
    return [`${path}:${line} an index.ts holds re-exports only: move this to a file named after it`]
  })
}
