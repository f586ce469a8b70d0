import { existsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { DeafProxy } from './deaf-proxy.js'
import { type PostgresOptions, type PostgresServer, postgresMissing, startPostgres } from './postgres.js'
import { messageFilter } from './postgres-messages.js'

const why = postgresMissing()
const skip = why !== undefined
/** A server writes some thousand files before it starts. */
const options = { skip, timeout: 30_000 }

test('shared lanes are tested with a real Postgres server in CI, and wherever there is one', ({ skip: leaveOut }) => {
  expect(why === undefined || process.env['CI'] === undefined, why).toBe(true)
  leaveOut(skip, why)
})

async function started(asked?: PostgresOptions): Promise<PostgresServer> {
  const server = await startPostgres(asked)
  onTestFinished(() => server.stop())
  return server
}

async function connected(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => undefined)
  await client.connect()
  onTestFinished(() => client.end().catch(() => undefined))
  return client
}

/** The first value of what a server answers to a query; why there is none. */
async function ask(url: string, text: string, patienceMs = 10_000): Promise<unknown> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: patienceMs })
  client.on('error', () => undefined)
  try {
    await client.connect()
    const { rows } = await client.query<[unknown]>({ text, rowMode: 'array' })
    return rows[0]?.[0]
  } catch (error) {
    return String(error)
  } finally {
    await client.end().catch(() => undefined)
  }
}

test('a server has what it answered after a kill and a restart', options, async () => {
  const server = await started()
  expect(server.url).toBe(`postgres://lane@127.0.0.1:${server.port}/lane`)
  expect(await ask(server.url, 'CREATE TABLE a AS SELECT 7 AS b')).toBeUndefined()
  const open = await connected(server.url)
  const first = server.pid
  await server.kill()
  await expect(open.query('SELECT 1')).rejects.toThrow('connection')
  expect(await ask(server.url, 'SELECT b FROM a')).toContain('ECONNREFUSED')
  await server.restart()
  expect(server.pid).not.toBe(first)
  expect(await ask(server.url, 'SELECT b FROM a')).toBe(7)
  // and one that still runs is killed first
  await server.restart()
  expect(await ask(server.url, 'SELECT b FROM a')).toBe(7)
})

test('a server with a password answers nobody without it', options, async () => {
  const server = await started({ password: 'se:cret', args: ['-c', 'max_connections=42'] })
  expect(server.url).toBe(`postgres://lane:se%3Acret@127.0.0.1:${server.port}/lane`)
  expect(await ask(server.url, 'SHOW max_connections')).toBe('42')
  expect(await ask(server.url.replace('se%3Acret', 'other'), 'SELECT 7')).toContain('password authentication failed')
})

test('a suspended server answers when it goes on, and leaves nothing behind when it is stopped', options, async () => {
  const server = await started()
  const open = await connected(server.url)
  server.suspend()
  expect(await ask(server.url, 'SELECT 7', 300)).toContain('timeout')
  const waiting = open.query('SELECT 7')
  expect(await Promise.race([waiting, sleep(200, 'nothing')])).toBe('nothing')
  server.resume()
  expect((await waiting).rowCount).toBe(1)
  expect(await ask(server.url, 'SELECT 7')).toBe(7)

  const { pid } = server
  server.suspend()
  await server.stop()
  expect(existsSync(server.folder)).toBe(false)
  expect(() => process.kill(pid, 0)).toThrow('ESRCH')
  expect(() => server.pid).toThrow('does not run')
})

test('who is deaf hears no notification, and its answers as before', options, async () => {
  const server = await started()
  const proxy = new DeafProxy(server.port, 'postgres')
  const client = await connected(await proxy.listen())
  onTestFinished(() => proxy.stop())
  const heard: unknown[] = []
  client.on('notification', ({ payload }) => heard.push(payload))
  await client.query('LISTEN news')
  await client.query("NOTIFY news, 'first'")
  await expect.poll(() => heard).toEqual(['first'])
  proxy.deafen()
  await client.query("NOTIFY news, 'lost'")
  const { rows } = await client.query<{ long: string }>("SELECT repeat('A', 1000000) AS long")
  expect(rows[0]?.long).toHaveLength(1_000_000)
  expect(heard).toEqual(['first'])
  proxy.cut()
  await expect(client.query('SELECT 1')).rejects.toThrow()
})

/** A message of a server. */
function message(kind: string, body: string): Buffer {
  const length = Buffer.alloc(4)
  length.writeInt32BE(4 + body.length)
  return Buffer.concat([Buffer.from(kind), length, Buffer.from(body)])
}

test('messages are told apart wherever the pieces end', () => {
  const [ready, news, row] = [message('Z', ''), message('A', 'ZAZ'), message('D', 'AAA')]
  const all = Buffer.concat([news, ready, row, news, news, row, ready, news])
  for (let bytes = 1; bytes <= all.length; bytes++) {
    const filter = messageFilter((kind) => kind === 'A')
    const passed: Buffer[] = []
    for (let at = 0; at < all.length; at += bytes) passed.push(filter(all.subarray(at, at + bytes)))
    expect(Buffer.concat(passed)).toEqual(Buffer.concat([ready, row, row, ready]))
  }
})
