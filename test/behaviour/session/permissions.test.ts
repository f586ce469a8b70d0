/** Permission rules: `tool` and `tool(pattern)`, and what must not slip through them. */
import { type CheckedCall, laneForTool, type PermissionPolicy, permissionCheck } from '@a3s-lab/lane/session'
import { expect, test } from 'vitest'
import { thrownBy } from '../../support/setup.js'

const decide = (policy: PermissionPolicy, name: string, args: Record<string, unknown> = {}): unknown =>
  permissionCheck(policy)({ id: '1', name, args, lane: laneForTool(name) } satisfies CheckedCall)

const bash = (policy: PermissionPolicy, command: unknown): unknown => decide(policy, 'bash', { command })

test('deny goes before ask, ask before allow, allow before the rest, which is asked about', () => {
  const all = { deny: ['a'], ask: ['a', 'b'], allow: ['a', 'b', 'c'] }
  expect(['a', 'b', 'c', 'd'].map((name) => decide(all, name))).toEqual(['deny', 'ask', 'allow', 'ask'])
  expect(decide({}, 'read')).toBe('ask')
})

test.each(['allow', 'deny', 'ask'] as const)('otherwise may be %s', (otherwise) => {
  expect(decide({ otherwise }, 'anything')).toBe(otherwise)
})

test.each([
  ['read', 'read', true],
  ['read', 'Read', false],
  ['read', 'reader', false],
  ['read', 'xread', false],
  ['mcp__*', 'mcp__files__read', true],
  ['mcp__*', 'mcp', false],
  ['*', 'anything', true],
  ['mcp__a.b', 'mcp__axb', false],
  ['bash', 'bash', true],
])('the rule %s for the tool %s: %s', (rule, name, isMatch) => {
  expect(decide({ allow: [rule] }, name)).toBe(isMatch ? 'allow' : 'ask')
})

test.each([['git status'], ['git log --oneline -5'], ['git commit -m "a (b) c"']])(
  'bash(git *) allows %j',
  (command) => {
    expect(bash({ allow: ['bash(git *)'] }, command)).toBe('allow')
  },
)

test.each([
  ['git status; rm -rf /'],
  ['git status && rm -rf /'],
  ['git status || rm -rf /'],
  ['git status | sh'],
  ['git status & rm -rf /'],
  ['git status > /etc/passwd'],
  ['git diff < /etc/shadow'],
  ['git log $(rm -rf /)'],
  ['git log `rm -rf /`'],
  ['git status\nrm -rf /'],
  ['git status\r\nrm -rf /'],
  ['git log "$HOME"'],
  ['rm -rf / # git status'],
  ['echo git status'],
  ['gitk'],
  ['GIT status'],
  [' git status'],
  [''],
])('bash(git *) does not cover %j', (command) => {
  expect(bash({ allow: ['bash(git *)'] }, command)).toBe('ask')
})

test('an exact command is allowed as it stands, and not one letter more', () => {
  const policy = { allow: ['bash(npm test)'] }
  expect(['npm test', 'npm test ', 'npm test; ls', 'npm tests'].map((command) => bash(policy, command))).toEqual([
    'allow',
    'ask',
    'ask',
    'ask',
  ])
})

test('a rule may contain an operator itself', () => {
  const policy = { allow: ['bash(cat * | wc -l)'] }
  expect(bash(policy, 'cat a.txt | wc -l')).toBe('allow')
  expect(bash(policy, 'cat a.txt; rm b | wc -l')).toBe('ask')
})

test.each(['bash', 'bash(*)', '*', '*(*)'])('%s allows every command, chained ones too', (rule) => {
  expect(bash({ allow: [rule] }, 'ls; rm x && y | z')).toBe('allow')
})

test.each([
  ['rm -rf /'],
  ['  rm -rf /'],
  ['git status; rm -rf /'],
  ['git status && rm x'],
  ['ls | rm x'],
  ['x & rm y'],
  ['echo $(rm y)'.replace('$(rm y)', '`rm y`')],
  ['ls\nrm x'],
])('the deny rule bash(rm *) finds it in %j', (command) => {
  expect(bash({ deny: ['bash(rm *)'], allow: ['bash'] }, command)).toBe('deny')
})

test.each([['echo $(rm y)'], ['(rm y)'], ['{ rm y; }'], ['if true; then rm y; fi'], ['! rm y']])(
  'the deny rule bash(rm *) finds it inside the grouping of %j',
  (command) => {
    expect(bash({ deny: ['bash(rm *)'], allow: ['bash'] }, command)).toBe('deny')
  },
)

test('a deny rule that concerns nothing of the command leaves it', () => {
  expect(bash({ deny: ['bash(rm *)'], allow: ['bash'] }, 'echo farm animals; ls')).toBe('allow')
})

test('an ask rule finds its part in a chain as well', () => {
  expect(bash({ ask: ['bash(git push*)'], allow: ['bash'] }, 'git add . && git push origin')).toBe('ask')
})

test('file rules hold for the paths of a call', () => {
  const policy = { allow: ['write(src/*)', 'move(src/*)'], deny: ['read(*.env)'], otherwise: 'ask' } as const
  expect([
    decide(policy, 'write', { path: 'src/a.ts' }),
    decide(policy, 'write', { file_path: 'src/deep/a.ts' }),
    decide(policy, 'write', { path: 'test/a.ts' }),
    decide(policy, 'write', { path: 'src/a.ts', file_path: 'etc/passwd' }),
    decide(policy, 'move', { from: 'src/a', to: 'src/b' }),
    decide(policy, 'move', { from: 'src/a', to: '/etc/b' }),
    decide(policy, 'move', { source: '/etc/passwd', destination: 'src/b' }),
    decide(policy, 'read', { path: 'config/prod.env' }),
  ]).toEqual(['allow', 'allow', 'ask', 'ask', 'allow', 'ask', 'ask', 'deny'])
})

test.each([['src/../etc/passwd'], ['src/..'], ['src/a/../../b'], ['src/..\\windows'], ['src\\..\\..\\x']])(
  'write(src/*) does not cover %j, which climbs out',
  (path) => {
    expect(decide({ allow: ['write(src/*)', 'write(src\\*)'] }, 'write', { path })).toBe('ask')
  },
)

test('an argument that the tool does not have opens no way round its rule', () => {
  const policy = { allow: ['write(src/*)'] }
  expect(decide(policy, 'write', { path: 'src/../etc/passwd', command: 'src/a' })).toBe('ask')
  expect(decide(policy, 'write', { path: 'src/a', file_path: ['src/b', '/etc/passwd'] })).toBe('ask')
  expect(decide(policy, 'write', { path: 'src/a', file_path: { toString: 'src/b' } })).toBe('ask')
  expect(decide({ deny: ['write(*.env)'], allow: ['write'] }, 'write', { path: ['a.ts', '.env'] })).toBe('deny')
})

test('dots that do not climb are a name like any other', () => {
  expect(decide({ allow: ['write(src/*)'] }, 'write', { path: 'src/a..b/...c' })).toBe('allow')
})

test('a pattern covers nothing where a call has no such argument, or one that is no text', () => {
  const policy = { allow: ['bash(*ls*)', 'write(src/*)'] }
  for (const args of [{}, { command: 5 }, { command: ['ls'] }, { command: null }, { path: { a: 'src/x' } }]) {
    expect([decide(policy, 'bash', args), decide(policy, 'write', args)]).toEqual(['ask', 'ask'])
  }
})

test('a web address is a subject', () => {
  const policy = { allow: ['web_fetch(https://docs.example.com/*)'] }
  expect(decide(policy, 'web_fetch', { url: 'https://docs.example.com/a/b' })).toBe('allow')
  expect(decide(policy, 'web_fetch', { url: 'https://docs.example.com.evil.net/' })).toBe('ask')
  expect(decide(policy, 'web_fetch', { url: 'https://docs.example.com/../x' })).toBe('ask')
})

test("a search's pattern says less than where it looks", () => {
  const policy = { deny: ['grep(secrets/*)'], allow: ['grep'] }
  expect([
    decide(policy, 'grep', { pattern: 'secrets/x', path: 'src' }),
    decide(policy, 'grep', { pattern: 'x', path: 'secrets/a' }),
    decide(policy, 'grep', { pattern: 'secrets/x' }),
  ]).toEqual(['allow', 'deny', 'deny'])
})

test('signs that mean something in a regular expression are only signs', () => {
  expect(bash({ allow: ['bash(a.b+c?[d]^e{2}*)'] }, 'a.b+c?[d]^e{2} x')).toBe('allow')
  expect(bash({ allow: ['bash(a.b)'] }, 'axb')).toBe('ask')
})

test('a very long command is decided quickly', () => {
  const policy = { allow: ['bash(*a*a*a*a*b)'], deny: ['bash(*x*x*x*x*y)'] }
  expect(bash(policy, 'a'.repeat(300))).toBe('ask')
})

test.each([
  [{ allow: ['bash('] }],
  [{ allow: ['bash)'] }],
  [{ allow: [''] }],
  [{ allow: ['two words'] }],
  [{ allow: [5] }],
  [{ deny: 'bash' }],
  [{ ask: {} }],
  [{ otherwise: 'maybe' }],
  [{ alow: [] }],
  [null],
  ['bash'],
])('the policy %j is refused', (policy) => {
  expect(thrownBy(() => permissionCheck(policy as never))['code']).toBe('CONFIG_INVALID')
})
