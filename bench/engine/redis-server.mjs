// @ts-check
/** A Redis server of its own for one measurement: on a free port, in a folder of its own, gone afterwards. */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const STARTS_WITHIN_MS = 10_000

/** @returns {Promise<number>} */
const freePort = () =>
  new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })

/**
 * Without a file: what is measured is what both sides do with the server, not its disk.
 *
 * @returns {Promise<{ url: string, port: number, stop: () => Promise<void> }>}
 */
export async function startRedis() {
  const folder = mkdtempSync(join(tmpdir(), 'lane-bench-'))
  const port = await freePort()
  const args = ['--port', `${port}`, '--bind', '127.0.0.1', '--dir', folder, '--save', '', '--appendonly', 'no']
  const server = spawn('redis-server', args, { stdio: 'ignore' })
  /** @type {Promise<void>} */
  const ended = new Promise((resolve) => {
    server.once('error', () => resolve())
    server.once('exit', () => resolve())
  })
  await answers(port, ended)
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    stop: async () => {
      server.kill('SIGKILL')
      await ended
      rmSync(folder, { recursive: true })
    },
  }
}

/**
 * @param {number} port
 * @param {Promise<void>} ended
 */
async function answers(port, ended) {
  let hasEnded = false
  void ended.then(() => {
    hasEnded = true
  })
  for (const deadline = performance.now() + STARTS_WITHIN_MS; performance.now() < deadline && !hasEnded; ) {
    if (await pong(port)) return
    await sleep(20)
  }
  throw new Error('redis-server did not start: is it installed (Debian: apt-get install redis-server)?')
}

/**
 * @param {number} port
 * @returns {Promise<boolean>}
 */
const pong = (port) =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('PING\r\n'))
    socket.once('data', (data) => {
      socket.destroy()
      resolve(data.toString().startsWith('+PONG'))
    })
    socket.once('error', () => resolve(false))
  })
