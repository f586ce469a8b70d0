/**
 * Who may call which tool: rules of the form `tool` or `tool(pattern)`, where `*` stands for any text. A pattern is held
 * against the argument that says most: the command of `bash`, the path of a file tool, the address of `web_fetch`.
 */
import { checkObject, checkOneOf, configInvalid, refuseUnknown } from '../core/index.js'
import type { SessionLane } from './lanes.js'

/** What a policy says of a call. */
export type PermissionDecision = 'allow' | 'deny' | 'ask'

/** A call as policies, confirmations and hooks see it. */
export type CheckedCall = {
  readonly id: string
  readonly name: string
  readonly args: Readonly<Record<string, unknown>>
  readonly lane: SessionLane
}

/**
 * Rules in three lists. A `deny` rule that matches wins, then `ask`, then `allow`, then `otherwise`.
 *
 * `bash(npm *)` allows one plain command: a `*` in an allow rule stands for no operator of the shell (`;`, `&`, `|`, `<`,
 * `>`, `$`, a backquote, a line break), so nothing can be hung on to it. A deny or ask rule holds for each part of a
 * chained command. `bash` and `bash(*)` allow everything.
 */
export type PermissionPolicy = {
  readonly allow?: readonly string[] | undefined
  readonly deny?: readonly string[] | undefined
  readonly ask?: readonly string[] | undefined
  /** What holds when no rule does. Default 'ask'. */
  readonly otherwise?: PermissionDecision | undefined
}

/** Decides about one call. */
export type PermissionCheck = (call: CheckedCall) => PermissionDecision | Promise<PermissionDecision>

type Rule = { readonly tool: string; readonly pattern: string | undefined }

const DECISIONS: readonly PermissionDecision[] = ['allow', 'deny', 'ask']

/** A function for a policy. `CONFIG_INVALID` for a rule that cannot be read. */
export function permissionCheck(policy: PermissionPolicy | PermissionCheck): PermissionCheck {
  if (typeof policy === 'function') return policy
  checkObject('permissions', policy)
  refuseUnknown('permissions', policy, ['allow', 'deny', 'ask', 'otherwise'])
  const { otherwise = 'ask' } = policy
  checkOneOf('permissions.otherwise', otherwise, DECISIONS)
  const deny = rulesOf('deny', policy.deny)
  const ask = rulesOf('ask', policy.ask)
  const allow = rulesOf('allow', policy.allow)
  return (call) => {
    if (deny.some((rule) => touches(rule, call))) return 'deny'
    if (ask.some((rule) => touches(rule, call))) return 'ask'
    return allow.some((rule) => covers(rule, call)) ? 'allow' : otherwise
  }
}

/** Refuses an answer that is none. */
export function checkedDecision(answer: unknown): PermissionDecision {
  if (DECISIONS.includes(answer as PermissionDecision)) return answer as PermissionDecision
  throw configInvalid('permissions answer', `one of ${DECISIONS.join(', ')}`, answer)
}

function rulesOf(list: string, rules: readonly string[] | undefined): Rule[] {
  if (rules === undefined) return []
  if (!Array.isArray(rules)) throw configInvalid(`permissions.${list}`, 'a list of rules', rules)
  return rules.map((text: unknown) => {
    const parts = typeof text === 'string' ? /^([^\s()]+)(?:\((.*)\))?$/s.exec(text) : null
    if (parts === null) throw configInvalid(`permissions.${list}`, "rules such as 'read' or 'bash(npm *)'", text)
    return { tool: parts[1] as string, pattern: parts[2] }
  })
}

/**
 * Whether a pattern, in which `*` stands for any text, describes the whole of a text; with `closed`, for any text in which
 * that finds nothing. Each part is taken where it stands first: a later place would leave more to the stars before it and
 * nothing new to those after it. So the time grows with the lengths, however many stars there are.
 */
function describes(pattern: string, text: string, closed?: RegExp): boolean {
  const [first = '', ...parts] = pattern.split(/\*+/)
  const last = parts.pop()
  if (last === undefined) return text === pattern
  let at = first.length
  const end = text.length - last.length
  if (end < at || !text.startsWith(first) || !text.endsWith(last)) return false
  const isOpen = (upTo: number): boolean => closed === undefined || !closed.test(text.slice(at, upTo))
  for (const part of parts) {
    const found = text.indexOf(part, at)
    if (found < 0 || found + part.length > end || !isOpen(found)) return false
    at = found + part.length
  }
  return isOpen(end)
}

const CLIMBS = /(?:^|[\\/])\.\.(?:[\\/]|$)/
const SHELL_OPERATOR = /[;&|<>`$\n\r]/
const SHELL_WORDS = /^(?:\s*(?:!|if|then|elif|else|while|until|do|time)\s)+/

/** Whether an allow rule covers the whole call. */
function covers({ tool, pattern }: Rule, call: CheckedCall): boolean {
  if (!describes(tool, call.name)) return false
  if (pattern === undefined || pattern === '*') return true
  const found = subjects(call)
  return found.length > 0 && found.every((subject) => isCovered(pattern, subject))
}

function isCovered(pattern: string, { isCommand, text }: Subject): boolean {
  if (text === undefined) return false
  // `src/*` means what is in src, not what can be reached from it
  return isCommand ? describes(pattern, text, SHELL_OPERATOR) : describes(pattern, text) && !CLIMBS.test(text)
}

/** Whether a deny or ask rule concerns the call, or a part of it. */
function touches({ tool, pattern }: Rule, call: CheckedCall): boolean {
  if (!describes(tool, call.name)) return false
  if (pattern === undefined) return true
  return subjects(call).some(({ isCommand, text = '' }) =>
    (isCommand ? shellParts(text) : [text]).some((part) => describes(pattern, part.trim())),
  )
}

/** What the shell would see as commands: of a chain, in brackets, after its words. Not what quoting may hide. */
function shellParts(text: string): string[] {
  const parts = text.split(SHELL_OPERATOR)
  const inner = parts.flatMap((part) => part.split(/[(){}]/))
  return [text, ...parts, ...inner, ...inner.map((part) => part.replace(SHELL_WORDS, ''))]
}

/** What a call touches; `text` is undefined for what is no text, which nothing covers. */
type Subject = { readonly isCommand: boolean; readonly text: string | undefined }

const PLACES = ['command', 'path', 'file_path', 'from', 'to', 'source', 'destination', 'url']
const SEARCHES = ['pattern', 'query']

/** All of them have to be covered. A search's pattern says less than where it looks. */
function subjects({ args }: CheckedCall): Subject[] {
  const own = (names: readonly string[]): Subject[] =>
    names.flatMap((name) => {
      const value = args[name]
      const isCommand = name === 'command'
      if (value === undefined || value === null) return []
      const values: unknown[] = Array.isArray(value) && !isCommand ? value : [value]
      return values.map((one) => ({ isCommand, text: typeof one === 'string' ? one : undefined }))
    })
  const places = own(PLACES)
  return places.length > 0 ? places : own(SEARCHES)
}
