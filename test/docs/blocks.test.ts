/** Every ```ts block of the documentation compiles, runs, and prints what the documentation says it prints. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { beforeAll, describe, expect, test } from 'vitest'
import { root } from '../../scripts/entry-points.mjs'
import { checkTypes, runBlock, writeBlocks } from './block-program.js'
import { type Block, extractBlocks, matchesOutput } from './markdown.js'

const documents = ['README.md', ...markdownUnder('docs')].filter((file) => existsSync(`${root}/${file}`))
const extractions = documents.map((file) => extractBlocks(file, readFileSync(`${root}/${file}`, 'utf8')))
const blocks = extractions.flatMap((extraction) => extraction.blocks)

function markdownUnder(folder: string): string[] {
  if (!existsSync(`${root}/${folder}`)) return []
  const names = readdirSync(`${root}/${folder}`, { recursive: true, encoding: 'utf8' })
  return names.filter((name) => name.endsWith('.md')).map((name) => `${folder}/${name.replaceAll('\\', '/')}`)
}

const planted = extractBlocks(
  'planted.md',
  [
    '# Planted',
    '```ts\nconst one: number = "1"\n```',
    '```ts\nthrow new Error("boom")\n```',
    '```ts\nawait using end = { async [Symbol.asyncDispose]() { console.log("disposed") } }\nconsole.log("ran", { one: 1 }, typeof end)\n```',
    '```text output\nran { one: … } object\ndisposed\n```',
    '```ts no-run it would not end\nawait new Promise<never>(() => {})\n```',
  ].join('\n'),
).blocks

let typeErrors: (block: Block) => string[]

beforeAll(() => {
  writeBlocks([...blocks, ...planted])
  typeErrors = checkTypes([...blocks, ...planted])
}, 60_000)

test('every block says what is to be done with it', () => {
  expect(extractions.flatMap(({ problems }) => problems)).toEqual([])
})

test.each(blocks.map((block) => [`${block.file}:${block.line}`, block] as const))(
  '%s',
  async (_name, block) => {
    expect(typeErrors(block)).toEqual([])
    if (!block.run) return
    const printed = await runBlock(block)
    const isAsShown = block.output === undefined || matchesOutput(block.output, printed)
    expect(printed).toBe(isAsShown ? printed : block.output)
  },
  15_000,
)

describe('a planted block', () => {
  const [wrongType, throwing, printing, endless] = planted as [Block, Block, Block, Block]

  test('with a type error is found, on its line of the document', () => {
    expect(typeErrors(wrongType)).toEqual([`planted.md:3 Type 'string' is not assignable to type 'number'.`])
  })

  test('that throws fails', async () => {
    await expect(runBlock(throwing)).rejects.toThrow('boom')
  })

  test('gives its output, after what it disposes of at its end', async () => {
    const printed = await runBlock(printing)
    expect(printed).toBe('ran { one: 1 } object\ndisposed')
    expect(matchesOutput(printing.output ?? '', printed)).toBe(true)
  })

  test('that cannot run is still checked', () => {
    expect(endless.run).toBe(false)
    expect(typeErrors(endless)).toEqual([])
  })
})
