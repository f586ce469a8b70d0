import { describe, expect, test } from 'vitest'
import { extractBlocks, matchesOutput } from './markdown.js'

const extract = (...lines: string[]) => extractBlocks('a.md', lines.join('\n'))

describe('blocks of a document', () => {
  test('are named by the line of their fence', () => {
    const { blocks, problems } = extract(
      '# A',
      '',
      '```ts',
      'a()',
      '',
      'b()',
      '```',
      '```sh',
      'ls',
      '```',
      '~~~ts',
      'c()',
      '~~~',
    )
    expect(blocks.map(({ line, code, run }) => [line, code, run])).toEqual([
      [3, 'a()\n\nb()', true],
      [11, 'c()', true],
    ])
    expect(problems).toEqual([])
  })

  test('lose the indentation of the list they stand in', () => {
    expect(extract('- x', '  ```ts', '  if (a) {', '    b()', '  }', '  ```').blocks[0]?.code).toBe(
      'if (a) {\n  b()\n}',
    )
  })

  test('may contain shorter fences', () => {
    expect(extract('````md', '```ts', 'a()', '```', '````').blocks).toEqual([])
  })

  test('take the output that follows them', () => {
    expect(extract('```ts', 'a()', '```', 'prints', '```text output', '1', '2', '```').blocks[0]?.output).toBe('1\n2')
  })

  test.each([
    ['output of nothing', ['```text output', '1', '```'], 'output of what?'],
    [
      'output of a block that does not run',
      ['```ts no-run a server', '```', '```text output', '1', '```'],
      'output of what?',
    ],
    ['no-run without a reason', ['```ts no-run', '```'], 'say why'],
    ['an unknown word', ['```ts skip', '```'], `only 'no-run <reason>'`],
    ['JavaScript', ['```js', '```'], 'write ```ts'],
    ['the long name', ['```typescript', '```'], 'write ```ts'],
  ])('with %s are refused', (_what, lines, problem) => {
    expect(extract(...lines).problems).toEqual([expect.stringContaining(problem)])
  })
})

describe('output', () => {
  test.each([
    ['1\n2\n', '1\n2', true],
    ['1\n2', '1\n3', false],
    ['took … ms', 'took 12.5 ms', true],
    ['took … ms', 'took 1\n2 ms', false],
    ['a (b) [c]', 'a (b) [c]', true],
    ['1', '1\n2', false],
  ])('%j against %j: %s', (shown, printed, same) => {
    expect(matchesOutput(shown, printed)).toBe(same)
  })
})
