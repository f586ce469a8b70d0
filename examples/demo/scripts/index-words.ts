/**
 * Adds the words of files to an index that all such processes share, under a lock: a file that exists while one of them
 * works. Who finds it there fails with exit code 75 ("try again later"), as many real tools do. A lock whose owner is
 * gone is removed on the way, so the next try succeeds.
 */
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs'

const TRY_AGAIN = 75

const [index = '', ...files] = process.argv.slice(2)
const lock = `${index}.lock`

try {
  const handle = openSync(lock, 'wx')
  writeSync(handle, String(process.pid))
  closeSync(handle)
} catch {
  const owner = Number(readOr(lock, ''))
  if (owner > 0 && !isAlive(owner)) {
    rmSync(lock, { force: true })
    fail(`the lock was left behind by process ${owner}, which is gone: removed`)
  }
  fail(`process ${owner || 'unknown'} holds the lock`)
}

const words = new Map<string, number>(existsSync(index) ? (JSON.parse(readOr(index, '[]')) as [string, number][]) : [])
for (const file of files) {
  for (const [word] of readOr(file, '').matchAll(/[\p{L}_$][\p{L}\p{N}_$]{2,39}/gu)) {
    words.set(word, (words.get(word) ?? 0) + 1)
  }
}
const next = `${index}.next`
const handle = openSync(next, 'w')
writeSync(handle, JSON.stringify([...words]))
fsyncSync(handle)
closeSync(handle)
renameSync(next, index)
rmSync(lock, { force: true })
process.stdout.write(`${words.size}\n`)

function readOr(path: string, otherwise: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return otherwise
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

function fail(message: string): never {
  process.stderr.write(`${message}\n`)
  process.exit(TRY_AGAIN)
}
