/**
 * Size, names and words. Aims: files of 250 lines, functions of 30. Past 400 and 70 an entry with its reason has to
 * stand on a list here, with the size it has: the list may shrink, and nothing on it may grow.
 */
import { posix } from 'node:path'
import ts from 'typescript'
import { countLines, lineOf, type Project, type SourceUnit, walk } from './project.js'

const LONGEST_FILE = 400
const LONGEST_FUNCTION = 70
const SCHEDULER = 'src/core/scheduler.ts'

type Oversize = { readonly lines: number; readonly reason: string }
/** 'src/core/manager.ts': { lines: 412, reason: '…' } */
const longFiles: Readonly<Record<string, Oversize>> = {}
/** 'src/core/manager.ts#submit': { lines: 80, reason: '…' } */
const longFunctions: Readonly<Record<string, Oversize>> = {}

const inSrc = ({ path }: { path: string }): boolean => path.startsWith('src/')

export function findLongFiles(project: Project, tolerated = longFiles): string[] {
  const sizes = project.sources.filter(inSrc).map((unit) => ({ name: unit.path, lines: countLines(unit.text) }))
  const scheduler =
    SCHEDULER in tolerated ? [`${SCHEDULER} is the heart of the queue: no exception for its length`] : []
  return [...scheduler, ...ratchet(sizes, LONGEST_FILE, tolerated, 'longFiles')]
}

export function findLongFunctions(project: Project, tolerated = longFunctions): string[] {
  return ratchet(project.sources.filter(inSrc).flatMap(functionSizes), LONGEST_FUNCTION, tolerated, 'longFunctions')
}

type Size = { readonly name: string; readonly lines: number }

function ratchet(
  sizes: readonly Size[],
  limit: number,
  tolerated: Readonly<Record<string, Oversize>>,
  list: string,
): string[] {
  const tooLong = sizes.flatMap(({ name, lines }) => {
    const allowed = Math.max(limit, tolerated[name]?.lines ?? 0)
    return lines > allowed
      ? [`${name} has ${lines} lines, at most ${allowed}: split it, or put it on ${list} with a reason`]
      : []
  })
  const stale = Object.entries(tolerated).flatMap(([name, entry]) => {
    const now = sizes.find((size) => size.name === name)?.lines ?? 0
    if (entry.reason.trim() === '') return [`${list}: ${name} has no reason`]
    if (now <= limit) return [`${list}: ${name} has ${now} lines and needs no entry any more: remove it`]
    return now < entry.lines ? [`${list}: ${name} has shrunk to ${now} lines: lower its entry`] : []
  })
  return [...tooLong, ...stale]
}

function functionSizes(unit: SourceUnit): Size[] {
  const sizes: Size[] = []
  walk(unit.ast, (node) => {
    if (!ts.isFunctionLike(node) || !('body' in node) || node.body === undefined) return
    const first = lineOf(unit.ast, node)
    const last = unit.ast.getLineAndCharacterOfPosition(node.end).line + 1
    sizes.push({ name: `${unit.path}#${functionName(node) ?? `line ${first}`}`, lines: last - first + 1 })
  })
  return sizes
}

function functionName(node: ts.SignatureDeclaration): string | undefined {
  if (ts.isConstructorDeclaration(node)) return 'constructor'
  const named =
    node.name ??
    (ts.isVariableDeclaration(node.parent) || ts.isPropertyAssignment(node.parent) ? node.parent.name : undefined)
  return named?.getText()
}

const vagueNames = /^(utils?|helpers?|common|misc|types?|interfaces?)$/
const kebabCase = /^[a-z0-9]+(-[a-z0-9]+)*$/

/** One noun in kebab case. A file called utils has no reason to refuse anything. */
export function findBadFileNames(project: Project): string[] {
  return project.sources.flatMap(({ path }) => {
    // a test may sit in a folder of types; in src a folder's name is a claim too
    const names = inSrc({ path }) ? path.split('/').slice(1) : [posix.basename(path)]
    return names.flatMap((name) => {
      const stem = name.replace(/(\.[a-z-]+)*\.ts$/, '')
      if (vagueNames.test(stem)) return [`${path}: '${stem}' says nothing: name it after its main export`]
      return kebabCase.test(stem) ? [] : [`${path}: '${name}' is not kebab-case`]
    })
  })
}

const oneL = /\w*(?:[cC]ancel(?:ed|ing|ers?)(?![a-z])|CANCEL(?:ED|ING))\w*/g

/** One spelling: cancelled, cancelling. */
export function findMisspellings(project: Project): string[] {
  return project.texts.flatMap(({ path, text }) =>
    text
      .split('\n')
      .flatMap((line, index) =>
        [...line.matchAll(oneL)].map(
          ([word]) => `${path}:${index + 1} '${word}': we write cancelled and cancelling, with two l's`,
        ),
      ),
  )
}

const foreignWords: Readonly<Record<string, string>> = {
  job: 'command',
  jobs: 'commands',
  task: 'command',
  tasks: 'commands',
}
const ownWords = ['src/core/', 'src/policy/', 'src/sdk/', 'src/testing/']

/** A command is not a job and not a task: other systems' words stay in their adapters. */
export function findForeignWords(project: Project): string[] {
  return project.sources
    .filter(({ path }) => ownWords.some((folder) => path.startsWith(folder)))
    .flatMap((unit) => {
      const found: string[] = []
      walk(unit.ast, (node) => {
        if (!ts.isIdentifier(node) && !ts.isPrivateIdentifier(node)) return
        const foreign = wordsOf(node.text).find((word) => Object.hasOwn(foreignWords, word))
        if (foreign)
          found.push(`${unit.path}:${lineOf(unit.ast, node)} '${node.text}': our word is ${foreignWords[foreign]}`)
      })
      return found
    })
}

/** 'queueMicrotask' -> queue, microtask; 'JOB_ID' -> job, id. */
function wordsOf(identifier: string): string[] {
  return identifier
    .split(/[^A-Za-z0-9]+|(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])/)
    .map((word) => word.toLowerCase())
}
