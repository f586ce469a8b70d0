/** A program that is killed in the middle and started again: what was accepted is done, what ran goes on from its checkpoint. */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { QueueManager } from '@a3s-lab/lane'
import { LocalStorage } from '@a3s-lab/lane/storage'

type Book = { title: string; pages: number }

/** Nothing in here knows that it will be killed, or that it was. */
async function printBooks(path: string): Promise<void> {
  const storage = await LocalStorage.open({ path })
  const queue = new QueueManager({ lanes: { print: { priority: 1, maxConcurrency: 1 } }, storage })
  queue.handle<Book>('print', async ({ title, pages }, { attempt, restored, checkpoint }) => {
    for (let page = Number(restored ?? 0) + 1; page <= pages; page++) {
      console.log(`${title}, page ${page}, attempt ${attempt}`)
      await sleep(100)
      await checkpoint(page)
    }
    return `${title}: done in attempt ${attempt}`
  })
  await queue.start()
  for (const title of ['atlas', 'novel', 'poems']) {
    const book = { type: 'print', payload: { title, pages: 4 } }
    // the same id is the same book, in whichever process
    console.log(await queue.submit('print', book, { id: title }))
  }
  await queue.close()
}

/** Runs this file as a program of its own, and kills it when it prints `last`. */
async function run(path: string, name: string, last?: string): Promise<void> {
  const program = spawn(process.execPath, [fileURLToPath(import.meta.url), path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  for await (const line of createInterface(program.stdout)) {
    console.log(`${name}: ${line}`)
    if (line === last) program.kill('SIGKILL')
  }
  console.log(last === undefined ? `${name} has ended` : `${name} was killed`)
}

const given = process.argv[2]
if (given === undefined) {
  const folder = mkdtempSync(join(tmpdir(), 'lane-durable-'))
  await run(join(folder, 'books.db'), 'first', 'novel, page 2, attempt 1')
  await run(join(folder, 'books.db'), 'second')
  rmSync(folder, { recursive: true })
} else await printBooks(given)
