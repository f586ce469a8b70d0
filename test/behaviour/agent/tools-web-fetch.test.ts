/** web_fetch: pages as text within limits, and no way into the machine or its network. */
import type { RequestListener } from 'node:http'
import { createServer } from 'node:net'
import { performance } from 'node:perf_hooks'
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib'
import { VirtualClock } from '@a3s-lab/lane/testing'
import { describe, expect, test } from 'vitest'
import { stripped } from '../../../src/agent/tools/page-text.js'
import { isPublicAddress } from '../../../src/agent/tools/public-address.js'
import { PageServer } from './page-server.js'
import { ToolFolder } from './tool-folder.js'

const page =
  (body: string | Buffer, headers: Record<string, string> = {}): RequestListener =>
  (_request, response) =>
    response.writeHead(200, { 'content-type': 'text/plain', ...headers }).end(body)

const html = (body: string): RequestListener => page(body, { 'content-type': 'text/html; charset=utf-8' })
const redirect =
  (location: string, status = 302): RequestListener =>
  (_request, response) =>
    response.writeHead(status, { location }).end()

describe('pages', () => {
  test('text comes as it is, HTML as Markdown', async () => {
    await using server = await PageServer.start({
      '/text': page('plain <b>text</b>'),
      '/html': html('<h1>Title</h1><script>bad()</script><p>Some <b>bold</b> <a href="/x">link</a></p>'),
      '/json': page('{"a":1}', { 'content-type': 'application/json' }),
      '/latin': page(Buffer.from([0xe9]), { 'content-type': 'text/plain; charset=iso-8859-1' }),
    })
    await using folder = new ToolFolder({ allowPrivate: true })
    const get = async (path: string): Promise<string> =>
      (await folder.call('web_fetch', { url: server.url(path) })).output
    expect(await get('/text')).toBe('plain <b>text</b>')
    expect(await get('/html')).toBe('# Title\n\nSome **bold** [link](/x)')
    expect(await get('/json')).toBe('{"a":1}')
    expect(await get('/latin')).toBe('é')
  })

  test('packed pages are unpacked', async () => {
    const packed = { gzip: gzipSync('packed'), deflate: deflateSync('packed'), br: brotliCompressSync('packed') }
    await using server = await PageServer.start(
      Object.fromEntries(
        Object.entries(packed).map(([name, body]) => [`/${name}`, page(body, { 'content-encoding': name })]),
      ),
    )
    await using folder = new ToolFolder({ allowPrivate: true })
    for (const name of Object.keys(packed)) {
      expect((await folder.call('web_fetch', { url: server.url(`/${name}`) })).output).toBe('packed')
    }
  })

  test('a large page, a page that unpacks to a large one, and one without end are cut', async () => {
    await using server = await PageServer.start({
      '/large': page('x'.repeat(5_000_000)),
      '/bomb': page(gzipSync(Buffer.alloc(50_000_000, 'x')), { 'content-encoding': 'gzip' }),
      '/endless': (_request, response) => {
        response.writeHead(200, { 'content-type': 'text/plain' })
        const more = (): void => {
          while (!response.destroyed && response.write('x'.repeat(10_000)));
        }
        response.on('drain', more)
        more()
      },
    })
    await using folder = new ToolFolder({ allowPrivate: true, limits: { fetchBytes: 100_000, fetchChars: 1000 } })
    for (const path of ['/large', '/bomb', '/endless']) {
      const { output, metadata } = await folder.call('web_fetch', { url: server.url(path) })
      expect(output).toBe(`${'x'.repeat(1000)}\n(the rest of the page is left out)`)
      expect(metadata).toMatchObject({ is_cut: true })
    }
  })

  test('a page that would hold the process does not', async () => {
    await using server = await PageServer.start({ '/nested': html(`${'<div>'.repeat(15_000)}deep down`) })
    await using folder = new ToolFolder({ allowPrivate: true, limits: { convertMs: 500 } })
    let turns = 0
    const counting = setInterval(() => turns++, 20)
    const { output, metadata } = await folder.call('web_fetch', { url: server.url('/nested') })
    clearInterval(counting)
    expect(output).toBe('deep down')
    expect(metadata).toMatchObject({ format: 'stripped' })
    expect(turns).toBeGreaterThan(5)
  })

  test('a slow page ends with its time, by the clock that was given', async () => {
    await using server = await PageServer.start({
      '/slow': (_request, response) => response.writeHead(200, { 'content-type': 'text/plain' }).write('x'),
      '/silent': () => undefined,
    })
    for (const path of ['/slow', '/silent']) {
      const clock = new VirtualClock()
      await using folder = new ToolFolder({ allowPrivate: true, clock, limits: { fetchTimeoutMs: 5000 } })
      const refusal = folder.refusal('web_fetch', { url: server.url(path) })
      while (!server.asked.some((asked) => asked.endsWith(path))) await new Promise((done) => setImmediate(done))
      await clock.advance(5000)
      expect(await refusal).toBe('The page took longer than 5000 ms')
    }
  })

  test('an abort ends it at once', async () => {
    await using server = await PageServer.start({ '/silent': () => undefined })
    await using folder = new ToolFolder({ allowPrivate: true })
    const controller = new AbortController()
    const call = folder.call('web_fetch', { url: server.url('/silent') }, controller.signal)
    while (server.asked.length === 0) await new Promise((done) => setImmediate(done))
    const start = performance.now()
    controller.abort('stop')
    await expect(call).rejects.toBe('stop')
    expect(performance.now() - start).toBeLessThan(200)
  })

  test('what is no text is refused, and an answer that is an error says so', async () => {
    await using server = await PageServer.start({
      '/png': page(Buffer.from([0x89, 0x50]), { 'content-type': 'image/png' }),
      '/nul': page(Buffer.from('a\0b')),
      '/broken': page('not packed', { 'content-encoding': 'gzip' }),
      '/cut': (_request, response) => {
        response.writeHead(200, { 'content-type': 'text/plain', 'content-length': '100' })
        response.write('x', () => response.destroy())
      },
    })
    await using folder = new ToolFolder({ allowPrivate: true })
    const refusal = (path: string): Promise<string> => folder.refusal('web_fetch', { url: server.url(path) })
    expect(await refusal('/png')).toBe('The page is not text, but image/png')
    expect(await refusal('/nul')).toMatch(/^The page is not text/)
    expect(await refusal('/none')).toBe('(the server answered 404)\nno such page')
    expect(await refusal('/broken')).toMatch(/could not be read to its end: Z_DATA_ERROR/)
    expect(await refusal('/cut')).toMatch(/could not be read to its end: ECONNRESET/)
  })

  test('nobody there, and an answer that is not HTTP', async () => {
    await using folder = new ToolFolder({ allowPrivate: true })
    const nonsense = createServer((socket) => socket.resume().end('nonsense\r\n\r\n'))
    await new Promise<void>((resolve) => nonsense.listen(0, '127.0.0.1', resolve))
    const { port } = nonsense.address() as { port: number }
    expect(await folder.refusal('web_fetch', { url: `http://127.0.0.1:${port}/` })).toMatch(/HPE_INVALID/)
    await new Promise((resolve) => nonsense.close(resolve))
    expect(await folder.refusal('web_fetch', { url: `http://127.0.0.1:${port}/` })).toMatch(/ECONNREFUSED/)
  })
})

describe('where it may go', () => {
  test.each([
    ['ftp://example.org/', /is not http or https/],
    ['file:///etc/passwd', /is not http or https/],
    ['data:text/plain,x', /is not http or https/],
    ['javascript:alert(1)', /is not http or https/],
    ['example.org', /is not a URL/],
    ['http://', /is not a URL/],
    ['http://user:secret@127.0.0.1/', /^A URL with a user or password in it is not fetched$/],
    [`http://example.org/${'x'.repeat(5000)}`, /longer than 4096/],
  ])('%s is refused', async (url, message) => {
    await using folder = new ToolFolder()
    expect(await folder.refusal('web_fetch', { url })).toMatch(message)
  })

  test.each([
    '127.0.0.1',
    '127.1',
    '2130706433',
    '0x7f000001',
    '0177.0.0.1',
    '0',
    '0.0.0.0',
    '10.1.2.3',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.1.1',
    '169.254.169.254',
    '100.64.0.1',
    '224.0.0.1',
    '255.255.255.255',
    '[::1]',
    '[::]',
    '[::ffff:127.0.0.1]',
    '[::ffff:7f00:1]',
    '[fe80::1]',
    '[fd00::1]',
    '[fc00::1]',
    '[ff02::1]',
    '[64:ff9b::7f00:1]',
    '[2002:7f00:1::]',
    'localhost',
    'LOCALHOST',
  ])('http://%s/ leads to a private or local address', async (host) => {
    await using server = await PageServer.start({ '/': page('inside') })
    await using folder = new ToolFolder()
    expect(await folder.refusal('web_fetch', { url: server.url('/', host) })).toMatch(
      /leads to a private or local address, which is not fetched$/,
    )
    expect(server.asked).toEqual([])
  })

  test('public addresses are not among them', () => {
    const open = ['1.1.1.1', '172.32.0.1', '100.128.0.1', '2606:4700:4700::1111', '::ffff:8.8.8.8']
    expect(open.filter(isPublicAddress)).toEqual(open)
    expect(['', 'x', '1.2.3', 'fe80::1%eth0', '::1%lo'].filter(isPublicAddress)).toEqual([])
  })

  test('redirects are followed, each judged anew', async () => {
    await using server = await PageServer.start({
      '/one': redirect('/two'),
      '/two': redirect('three?x=1', 308),
      '/three': page('here'),
      '/inside': redirect('http://localhost/secret'),
      '/metadata': redirect('http://169.254.169.254/latest/meta-data'),
      '/file': redirect('file:///etc/passwd'),
      '/loop': redirect('/loop'),
      '/nowhere': redirect('http://'),
    })
    // the address of the server is allowed, and nothing else that is private
    await using folder = new ToolFolder({ allowPrivate: (_address, host) => host === '127.0.0.1' })
    const { output, metadata } = await folder.call('web_fetch', { url: server.url('/one') })
    expect([output, metadata?.['url']]).toEqual(['here', server.url('/three?x=1')])
    const refusal = (path: string): Promise<string> => folder.refusal('web_fetch', { url: server.url(path) })
    expect(await refusal('/inside')).toMatch(/^http:\/\/localhost\/secret leads to a private or local address/)
    expect(await refusal('/metadata')).toMatch(/leads to a private or local address/)
    expect(await refusal('/file')).toMatch(/is not http or https/)
    expect(await refusal('/loop')).toMatch(/redirects more than 5 times$/)
    expect(await refusal('/nowhere')).toMatch(/is not a URL/)
    expect(server.asked.filter((asked) => asked.endsWith('/loop'))).toHaveLength(6)
  })

  test('a name is judged by what it leads to, in the look-up that the connection uses', async () => {
    await using server = await PageServer.start({ '/': page('by name') })
    const judged: string[] = []
    await using folder = new ToolFolder({
      allowPrivate: (address, host) => {
        judged.push(`${host} ${address}`)
        return true
      },
    })
    expect((await folder.call('web_fetch', { url: server.url('/', 'localhost') })).output).toBe('by name')
    expect(judged).toContain('localhost 127.0.0.1')
    expect(judged.length).toBeLessThanOrEqual(2)
  })
})

test('text between elements is found in one pass, whatever the page is', () => {
  expect(stripped('<p>a &lt; b</p><SCRIPT>x < y</SCRIPT>c<style>d</style>  e')).toBe('a < b c e')
  expect(stripped('a<b')).toBe('a')
  expect(stripped('<script>never ends')).toBe('')
  const start = performance.now()
  stripped('<'.repeat(500_000))
  stripped('<script>'.repeat(20_000))
  expect(performance.now() - start).toBeLessThan(1000)
})
