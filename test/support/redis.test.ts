import { createConnection } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { type RedisOptions, type RedisServer, redisMissing, startRedis } from './redis.js'
import { startProxy, type TcpProxy } from './tcp-proxy.js'

const why = redisMissing()
const skip = why !== undefined

test('shared lanes are tested with a real Redis server in CI, and wherever there is one', ({ skip: leaveOut }) => {
  expect(why === undefined || process.env['CI'] === undefined, why).toBe(true)
  leaveOut(skip, why)
})

async function started(options?: RedisOptions): Promise<RedisServer> {
  const server = await startRedis(options)
  onTestFinished(() => server.stop())
  return server
}

async function proxied(server: RedisServer): Promise<TcpProxy> {
  const proxy = await startProxy(server.port)
  onTestFinished(() => proxy.stop())
  return proxy
}

/** What a server answers to one line; undefined when the connection ends first, or nothing comes. */
function ask(port: number, line: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = createConnection(port, '127.0.0.1')
    const finish = (answer: string | undefined): void => {
      socket.destroy()
      resolve(answer)
    }
    socket.setTimeout(300, () => finish(undefined))
    socket.on('error', () => finish(undefined))
    socket.on('close', () => finish(undefined))
    socket.on('data', (data) => finish(data.toString().trim()))
    socket.write(`${line}\r\n`)
  })
}

test('a server that appends always has what it answered after a kill and a restart', { skip }, async () => {
  const server = await started({ appendonly: 'always' })
  expect(await ask(server.port, 'SET a 1')).toBe('+OK')
  const first = server.pid
  await server.kill()
  expect(await ask(server.port, 'PING')).toBeUndefined()
  await server.restart()
  expect(server.pid).not.toBe(first)
  expect(await ask(server.port, 'GET a')).toBe('$1\r\n1')
})

test('a server with a password answers nobody without it', { skip }, async () => {
  const server = await started({ password: 'se:cret' })
  expect(server.url).toBe(`redis://:se%3Acret@127.0.0.1:${server.port}`)
  expect(await ask(server.port, 'GET a')).toMatch(/^-NOAUTH/)
})

test('a suspended server answers when it goes on', { skip }, async () => {
  const server = await started()
  server.suspend()
  expect(await ask(server.port, 'PING')).toBeUndefined()
  server.resume()
  expect(await ask(server.port, 'PING')).toBe('+PONG')
})

test('a proxy cuts, stalls, refuses and loses answers', { skip }, async () => {
  const server = await started()
  const proxy = await proxied(server)
  expect(await ask(proxy.port, 'PING')).toBe('+PONG')

  proxy.stall()
  expect(await ask(proxy.port, 'SET stalled 1')).toBeUndefined()
  expect(await ask(server.port, 'GET stalled')).toBe('$-1')
  proxy.flow()

  proxy.loseAnswers()
  expect(await ask(proxy.port, 'SET lost 1')).toBeUndefined()
  expect(await ask(server.port, 'GET lost')).toBe('$1\r\n1')
  proxy.flow()

  const waiting = ask(proxy.port, 'BLPOP nothing 0')
  await sleep(50)
  expect(proxy.connections).toBe(1)
  proxy.cut()
  expect(await waiting).toBeUndefined()
  proxy.refuse()
  expect(await ask(proxy.port, 'PING')).toBeUndefined()
  proxy.flow()
  expect(await ask(proxy.port, 'PING')).toBe('+PONG')
})
