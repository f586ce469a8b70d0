/** programs/bare.ts, and what its images have to hold: for trying the harness itself. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import type { Subject, Verdict } from './powerloss.js'

export type Synchronous = 'FULL' | 'NORMAL' | 'OFF'

export const bareSubject = (program: string, synchronous: Synchronous, rows = 300): Subject => ({
  name: `bare-${synchronous}`,
  program,
  args: [synchronous, String(rows)],
  judge: judgeBare,
})

type Row = { readonly id: number; readonly content: string }

function judgeBare(folder: string, acks: readonly string[]): Verdict {
  const path = join(folder, 'bare.db')
  // nothing had been written, so nothing may be missing
  if (!existsSync(path)) return { missing: acks }
  let db: Database.Database | undefined
  try {
    db = new Database(path)
    const state = db.pragma('integrity_check', { simple: true })
    if (state !== 'ok') return { missing: [], corrupt: String(state).split('\n')[0] }
    const isMade = db.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'rows'").get() !== undefined
    return compare(isMade ? db.prepare<[], Row>('SELECT id, content FROM rows ORDER BY id').all() : [], acks)
  } catch (error) {
    return { missing: [], unreadable: String(error) }
  } finally {
    db?.close()
  }
}

function compare(rows: readonly Row[], acks: readonly string[]): Verdict {
  const torn = rows.find(({ id, content }) => content !== contentOf(id))
  const last = rows.at(-1)?.id ?? 0
  return {
    missing: acks.filter((ack) => Number(ack) > rows.length),
    corrupt: torn ? `row ${torn.id} reads ${torn.content.slice(0, 20)}` : undefined,
    gap: last === rows.length ? undefined : `${rows.length} rows, and the last is ${last}`,
  }
}

const contentOf = (id: number): string => `${id}:`.padEnd(100 + ((id * 37) % 900), String(id))
