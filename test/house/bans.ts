/**
 * Calls that src does not make directly, each with what to use instead.
 *
 * Every source of non-determinism (time, timers, randomness, ids) is wrapped in one file and injected from there; a
 * single direct call would make a simulation run differently the second time.
 */
import ts from 'typescript'
import { lineOf, type Project, type SourceUnit, walk } from './project.js'

type Ban = {
  /** `Date.now` is a member; `setTimeout` a global, by itself or as `globalThis.setTimeout`. */
  readonly name: string
  readonly instead: string
  /** The files that wrap it, or may use it. */
  readonly except?: readonly string[]
}

const CLOCK = 'src/core/clock.ts'
const RANDOM = 'src/core/random.ts'
/** It is a clock too, and gives promises a real turn of the event loop between two virtual instants. */
const VIRTUAL_CLOCK = 'src/testing/virtual-clock.ts'

const bans: readonly Ban[] = [
  {
    name: 'Date',
    instead: 'the clock given to you (its wall time and its formatting)',
    except: [CLOCK, VIRTUAL_CLOCK],
  },
  { name: 'performance', instead: 'the clock given to you (its monotonic time)', except: [CLOCK] },
  { name: 'setTimeout', instead: 'a timer of the clock given to you', except: [CLOCK, VIRTUAL_CLOCK] },
  { name: 'clearTimeout', instead: 'a timer of the clock given to you', except: [CLOCK] },
  { name: 'setInterval', instead: 'a timer of the clock given to you, set again each time' },
  { name: 'clearInterval', instead: 'a timer of the clock given to you, set again each time' },
  { name: 'setImmediate', instead: 'queueMicrotask, or a timer of the clock given to you', except: [VIRTUAL_CLOCK] },
  { name: 'AbortSignal.timeout', instead: 'an AbortController aborted by a timer of the clock given to you' },
  { name: 'process', instead: 'queueMicrotask for nextTick, the clock for hrtime; core does not know its process' },
  { name: 'Math.random', instead: 'the random source given to you', except: [RANDOM] },
  { name: 'crypto', instead: 'the random source given to you', except: [RANDOM] },
  { name: 'randomUUID', instead: 'the id generator, fed by the random source', except: [RANDOM] },
  { name: 'console', instead: "an event ('queue.fault' and onFault for faults): a library prints nothing" },
]

/**
 * Members that say nothing about the present moment: `x instanceof Date`, `Date.parse(text)`.
 * queueMicrotask is not banned: the order of microtasks is fixed by the language, so a simulation repeats it.
 */
const harmless: Readonly<Record<string, readonly string[]>> = { Date: ['parse', 'UTC'] }

const globalObjects = new Set(['globalThis', 'window', 'self', 'global'])

export function findBannedCalls(project: Project): string[] {
  return project.sources.filter(({ path }) => path.startsWith('src/')).flatMap(inUnit)
}

function inUnit(unit: SourceUnit): string[] {
  const found: string[] = []
  walk(unit.ast, (node) => {
    const ban = bans.find((candidate) => !candidate.except?.includes(unit.path) && uses(node, candidate.name))
    if (ban) found.push(`${unit.path}:${lineOf(unit.ast, node)} uses ${ban.name}: use ${ban.instead}`)
  })
  return found
}

function uses(node: ts.Node, name: string): boolean {
  const [object = '', member] = name.split('.')
  if (member === undefined) return isGlobalReference(node, name)
  if (isGlobalReference(node, object)) return isAlias(node) || memberOf(node.parent) === member
  return false
}

/** `const { random } = Math` and `const now = Date` would hide the member from the rule. */
function isAlias(node: ts.Node): boolean {
  return ts.isVariableDeclaration(node.parent) && node.parent.initializer === node
}

/** The name read from an object: `x.name`, `x['name']`. */
function memberOf(node: ts.Node): string | undefined {
  if (ts.isPropertyAccessExpression(node)) return node.name.text
  if (ts.isElementAccessExpression(node) && ts.isStringLiteralLike(node.argumentExpression))
    return node.argumentExpression.text
  return undefined
}

/** Whether the node reads the global of that name as a value, by itself or through the global object. */
function isGlobalReference(node: ts.Node, name: string): boolean {
  if (memberOf(node) === name) {
    const object = (node as ts.PropertyAccessExpression | ts.ElementAccessExpression).expression
    return ts.isIdentifier(object) && globalObjects.has(object.text)
  }
  return ts.isIdentifier(node) && node.text === name && isValueReference(node) && !isHarmless(node)
}

function isHarmless(node: ts.Identifier): boolean {
  const { parent } = node
  if (ts.isBinaryExpression(parent) && parent.operatorToken.kind === ts.SyntaxKind.InstanceOfKeyword)
    return parent.right === node
  const member = memberOf(parent)
  return member !== undefined && (harmless[node.text] ?? []).includes(member)
}

/** False for the places where a name is only a name: members, keys, declarations of members, types. */
function isValueReference(node: ts.Identifier): boolean {
  const { parent } = node
  if (ts.isTypeNode(parent) || ts.isQualifiedName(parent)) return false
  if (ts.isPropertyAccessExpression(parent)) return parent.expression === node
  if (ts.isImportSpecifier(parent) || ts.isImportClause(parent)) return true
  if (ts.isBindingElement(parent)) return parent.propertyName !== node
  const namesAMember =
    ts.isPropertyAssignment(parent) ||
    ts.isClassElement(parent) ||
    ts.isTypeElement(parent) ||
    ts.isObjectLiteralElementLike(parent)
  return !(namesAMember && parent.name === node && !ts.isShorthandPropertyAssignment(parent))
}
