/**
 * The project as the house rules see it: every file with its path and text, TypeScript ones parsed, their imports
 * resolved. A rule is a function from a project to the sentences it objects with, so a test can plant a violation in
 * a project that exists only in memory and watch the rule find it.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

export type Import = {
  readonly specifier: string
  readonly line: number
  /** `import type` or `export type`: erased from the JavaScript. `import { type X }` is not: the import stays. */
  readonly typeOnly: boolean
  /** The project file it leads to; undefined for a package. */
  readonly target: string | undefined
}

export type SourceUnit = {
  /** Relative to the root, with forward slashes: 'src/core/clock.ts'. */
  readonly path: string
  readonly text: string
  readonly ast: ts.SourceFile
  readonly imports: readonly Import[]
}

export type Project = {
  readonly sources: readonly SourceUnit[]
  /** Every text file, sources included: for rules about words. */
  readonly texts: readonly { readonly path: string; readonly text: string }[]
}

/** A project from path -> text. */
export function projectOf(files: Readonly<Record<string, string>>): Project {
  const texts = Object.entries(files).map(([path, text]) => ({ path, text }))
  const sources = texts.filter(({ path }) => path.endsWith('.ts')).map(({ path, text }) => parse(path, text, files))
  return { sources, texts }
}

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
const places = ['src', 'test', 'examples', 'scripts', 'bench', 'docs', '.ci']
const textFile = /\.(ts|mts|mjs|js|json|jsonc|md|txt|yml)$|^\.ci\//
const generated = new Set(['node_modules', 'package-lock.json'])

/** The project on disk. Places that do not exist yet are empty. */
export function loadProject(): Project {
  const nested = places.flatMap((place) => (existsSync(`${root}/${place}`) ? filesUnder(place) : []))
  const top = readdirSync(root, { withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => entry.name)
  const paths = [...top, ...nested].filter((path) => textFile.test(path) && !generated.has(path))
  return projectOf(Object.fromEntries(paths.map((path) => [path, readFileSync(`${root}/${path}`, 'utf8')])))
}

function filesUnder(folder: string): string[] {
  return readdirSync(`${root}/${folder}`, { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`
    if (generated.has(entry.name)) return []
    return entry.isDirectory() ? filesUnder(path) : [path]
  })
}

function parse(path: string, text: string, files: Readonly<Record<string, string>>): SourceUnit {
  const ast = ts.createSourceFile(path, text, ts.ScriptTarget.ES2022, true)
  const imports: Import[] = []
  const add = (specifier: ts.Node, typeOnly: boolean): void => {
    if (!ts.isStringLiteralLike(specifier)) return
    imports.push({
      specifier: specifier.text,
      line: lineOf(ast, specifier),
      typeOnly,
      target: resolve(path, specifier.text, files),
    })
  }
  walk(ast, (node) => {
    if (ts.isImportDeclaration(node))
      add(node.moduleSpecifier, node.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword)
    else if (ts.isExportDeclaration(node) && node.moduleSpecifier) add(node.moduleSpecifier, node.isTypeOnly)
    else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) add(node.argument.literal, true)
    else if (isImportCall(node) && node.arguments[0]) add(node.arguments[0], false)
    else if (ts.isExternalModuleReference(node)) add(node.expression, false)
  })
  return { path, text, ast, imports }
}

function isImportCall(node: ts.Node): node is ts.CallExpression {
  if (!ts.isCallExpression(node)) return false
  const callee = node.expression
  return callee.kind === ts.SyntaxKind.ImportKeyword || (ts.isIdentifier(callee) && callee.text === 'require')
}

function resolve(from: string, specifier: string, files: Readonly<Record<string, string>>): string | undefined {
  if (!specifier.startsWith('.')) return undefined
  const path = posix.join(posix.dirname(from), specifier)
  const candidates = [path.replace(/\.js$/, '.ts'), path, `${path}.ts`, `${path}/index.ts`]
  return candidates.find((candidate) => candidate in files) ?? path
}

export function walk(node: ts.Node, visit: (node: ts.Node) => void): void {
  visit(node)
  ts.forEachChild(node, (child) => walk(child, visit))
}

export function lineOf(ast: ts.SourceFile, node: ts.Node): number {
  return ast.getLineAndCharacterOfPosition(node.getStart(ast)).line + 1
}

export function countLines(text: string): number {
  return text.split('\n').length - (text.endsWith('\n') ? 1 : 0)
}
