/** A tiny test of the files given: valid UTF-8, no marks of an unfinished merge. Prints what passed and what did not. */
import { readFileSync } from 'node:fs'

const decoder = new TextDecoder('utf-8', { fatal: true })

/** Six of them each, and built here so that this file passes. */
const MARKS = ['<', '>'].map((mark) => `${mark.repeat(7)} `)

function faultOf(path: string): string | undefined {
  let text: string
  try {
    text = decoder.decode(readFileSync(path))
  } catch (error) {
    return error instanceof TypeError ? 'is not UTF-8' : 'cannot be read'
  }
  return text.split('\n').some((line) => MARKS.some((mark) => line.startsWith(mark))) ? 'is not merged' : undefined
}

const faults = process.argv.slice(2).map((path) => ({ path, fault: faultOf(path) }))
for (const { path, fault } of faults)
  process.stdout.write(fault === undefined ? `ok ${path}\n` : `not ok ${path} ${fault}\n`)
