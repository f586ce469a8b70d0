/**
 * Blocks as files in build/doc-blocks, checked by one TypeScript program and run one by one.
 *
 * Each file starts with as many empty lines as stand above the block in its document, so a type error and a stack
 * trace name the line of the document.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { format } from 'node:util'
import ts from 'typescript'
import { entryPoints, root } from '../../scripts/entry-points.mjs'
import type { Block } from './markdown.js'

const folder = `${root}/build/doc-blocks`

function fileOf({ file, line }: Block): string {
  return `${folder}/${file.replace(/[^\w]+/g, '-')}-${line}.ts`
}

export function writeBlocks(blocks: readonly Block[]): void {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  for (const block of blocks) {
    // the export makes it a module even without an import: top-level await, names of its own
    writeFileSync(fileOf(block), `${'\n'.repeat(block.line)}${block.code}\nexport {}\n`)
  }
}

/** Type errors by block, as 'README.md:12 message', from one program over all of them. */
export function checkTypes(blocks: readonly Block[]): (block: Block) => string[] {
  const program = ts.createProgram(blocks.map(fileOf), {
    ...readOptions(),
    noEmit: true,
    paths: Object.fromEntries(entryPoints().map(({ specifier, source }) => [specifier, [`${root}/${source}`]])),
  })
  return (block) => {
    const source = program.getSourceFile(fileOf(block))
    const found = [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)]
    return found.map(({ start, messageText }) => {
      const line = source && start !== undefined ? source.getLineAndCharacterOfPosition(start).line + 1 : block.line
      return `${block.file}:${line} ${ts.flattenDiagnosticMessageText(messageText, ' ')}`
    })
  }
}

function readOptions(): ts.CompilerOptions {
  const { config } = ts.readConfigFile(`${root}/tsconfig.json`, (path) => ts.sys.readFile(path)) as { config: unknown }
  return ts.parseJsonConfigFileContent(config, { ...ts.sys, readDirectory: () => [] }, root).options
}

/** Runs a block to its end and gives what it printed. */
export async function runBlock(block: Block): Promise<string> {
  const printed: string[] = []
  const print = (...values: unknown[]): void => {
    printed.push(format(...values))
  }
  const original = { ...console }
  Object.assign(console, { log: print, info: print, warn: print, error: print, debug: print })
  try {
    await import(/* @vite-ignore */ fileOf(block))
  } finally {
    Object.assign(console, original)
  }
  return printed.join('\n')
}
