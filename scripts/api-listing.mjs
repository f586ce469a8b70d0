/**
 * The public API as one text file, so that every change of it shows up in a review.
 *
 *   node scripts/api-listing.mjs           fails when docs/api-listing.txt is not what dist declares
 *   node scripts/api-listing.mjs --write   writes it (`npm run api` builds first)
 *
 * It lists each entry point's exports without their comments, sorted by name, and below them the shapes a user can
 * reach through those exports without being able to name them.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import ts from 'typescript'
import { entryPoints, manifest, root } from './entry-points.mjs'

const target = `${root}/docs/api-listing.txt`
const dist = `${root}/dist/`
const entries = entryPoints()
/** Lines of difference that are worth reading in a terminal; the rest is in `git diff` after `npm run api`. */
const SHOWN = 40

const program = ts.createProgram(
  entries.map(({ types }) => `${root}/${types}`),
  {
    module: ts.ModuleKind.NodeNext,
    target: ts.ScriptTarget.ES2022,
    lib: ['lib.es2022.d.ts', 'lib.esnext.disposable.d.ts', 'lib.dom.d.ts'],
    types: [],
    strict: true,
  },
)
const checker = program.getTypeChecker()
const printer = ts.createPrinter({ removeComments: true, newLine: ts.NewLineKind.LineFeed })

/** @type {Set<ts.Symbol>} */
const listed = new Set()
/** @type {ts.Symbol[]} */
const reached = []

const sections = entries.map(({ specifier, types }) => {
  const source = program.getSourceFile(`${root}/${types}`)
  const module = source && checker.getSymbolAtLocation(source)
  if (!module) throw new Error(`api-listing: ${types} is missing or exports nothing: build first`)
  const exported = checker
    .getExportsOfModule(module)
    .map((symbol) => ({ name: symbol.name, symbol: resolveAlias(symbol) }))
  for (const { symbol } of exported) listed.add(symbol)
  return { specifier, exported }
})

const text = [
  `# Public API of ${manifest.name}`,
  '# Generated from the declarations: npm run api',
  ...sections.flatMap(({ specifier, exported }) => [
    '',
    heading(specifier),
    ...exported.sort(byName).flatMap(describe),
  ]),
  ...describeReached(),
].join('\n')

const listing = `${text}\n`
const current = existsSync(target) ? readFileSync(target, 'utf8') : ''
if (process.argv.includes('--write')) {
  writeFileSync(target, listing)
} else if (current !== listing) {
  process.stderr.write(`docs/api-listing.txt is not current; run: npm run api\n${difference(current, listing)}`)
  process.exitCode = 1
}

/** @param {string} title */
function heading(title) {
  return `${title}\n${'='.repeat(title.length)}`
}

/** @param {{ name: string }} a @param {{ name: string }} b */
function byName(a, b) {
  return a.name < b.name ? -1 : 1
}

/** @param {ts.Symbol} symbol */
function resolveAlias(symbol) {
  return symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol
}

/** @param {{ name: string, symbol: ts.Symbol }} entry */
function describe({ name, symbol }) {
  const declarations = symbol.declarations ?? []
  const texts = declarations.filter(isPrintable).map((declaration) => {
    collectReferences(declaration)
    return print(declaration)
  })
  const alias = name === symbol.name ? [] : [`// ${symbol.name}, exported as ${name}`]
  return ['', ...alias, ...texts]
}

/** @param {ts.Node} node */
function isPrintable(node) {
  return !ts.isSourceFile(node)
}

/** @param {ts.Declaration} declaration */
function print(declaration) {
  const statement = ts.isVariableDeclaration(declaration) ? declaration.parent.parent : declaration
  const { transformed } = ts.transform(statement, [dropPrivateMembers])
  return printer
    .printNode(ts.EmitHint.Unspecified, transformed[0] ?? statement, declaration.getSourceFile())
    .replaceAll(/^export (declare )?|^declare /gm, '')
    .replaceAll('    ', '  ')
}

/** @type {ts.TransformerFactory<ts.Node>} */
function dropPrivateMembers(context) {
  return (node) => {
    if (!ts.isClassDeclaration(node)) return node
    const members = node.members.filter((member) => {
      const isHash = member.name !== undefined && ts.isPrivateIdentifier(member.name)
      return !isHash && !(ts.getCombinedModifierFlags(member) & ts.ModifierFlags.Private)
    })
    const { modifiers, name, typeParameters, heritageClauses } = node
    return context.factory.updateClassDeclaration(node, modifiers, name, typeParameters, heritageClauses, members)
  }
}

/** Remembers which of our own declarations a public one mentions. @param {ts.Node} node */
function collectReferences(node) {
  if (ts.isIdentifier(node)) {
    const symbol = checker.getSymbolAtLocation(node)
    const found = symbol && resolveAlias(symbol)
    if (found && isTopLevelOfOurs(found) && !reached.includes(found)) reached.push(found)
  }
  const isPrivate =
    ts.canHaveModifiers(node) && ts.getModifiers(node)?.some(({ kind }) => kind === ts.SyntaxKind.PrivateKeyword)
  if (!isPrivate) ts.forEachChild(node, collectReferences)
}

/** @param {ts.Symbol} symbol */
function isTopLevelOfOurs(symbol) {
  return (symbol.declarations ?? []).some((declaration) => {
    const statement = ts.isVariableDeclaration(declaration) ? declaration.parent.parent : declaration
    // what the compiler makes up (the type parameter of an instantiated mapped type) stands in no file
    const isTopLevel = statement.parent !== undefined && ts.isSourceFile(statement.parent)
    return isTopLevel && statement.getSourceFile().fileName.startsWith(dist)
  })
}

function describeReached() {
  const lines = []
  // describing one may reach further ones, so the list grows while it is read
  const found = []
  for (const symbol of reached) {
    if (!listed.has(symbol)) found.push({ name: symbol.name, symbol, text: describe({ name: symbol.name, symbol }) })
  }
  if (found.length > 0) lines.push('', heading('Reached through these, but not exported'))
  for (const { text: described } of found.sort(byName)) lines.push(...described)
  return lines
}

/** The lines only one of two texts has: enough to see what changed. @param {string} before @param {string} after */
function difference(before, after) {
  const [was, is] = [before.split('\n'), after.split('\n')]
  const [had, has] = [new Set(was), new Set(is)]
  const gone = was.filter((line) => !has.has(line)).map((line) => `- ${line}\n`)
  const added = is.filter((line) => !had.has(line)).map((line) => `+ ${line}\n`)
  const lines = [...gone, ...added]
  const rest = lines.length > SHOWN ? [`… and ${lines.length - SHOWN} lines more\n`] : []
  return [...lines.slice(0, SHOWN), ...rest].join('')
}
