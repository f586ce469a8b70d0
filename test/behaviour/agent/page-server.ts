/** A server of pages for the tests: each path is a handler. */
import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

export class PageServer {
  readonly #server: Server
  readonly #pages: Readonly<Record<string, RequestListener>>
  readonly asked: string[] = []

  private constructor(pages: Readonly<Record<string, RequestListener>>) {
    this.#pages = pages
    this.#server = createServer((request, response) => {
      this.asked.push(`${request.headers.host?.split(':')[0] ?? ''}${request.url ?? ''}`)
      const page = this.#pages[request.url?.split('?')[0] ?? '']
      if (page === undefined) response.writeHead(404).end('no such page')
      else page(request, response)
    })
  }

  static async start(pages: Readonly<Record<string, RequestListener>>): Promise<PageServer> {
    const server = new PageServer(pages)
    server.#server.listen(0, '127.0.0.1')
    await once(server.#server, 'listening')
    return server
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  url(path: string, host = '127.0.0.1'): string {
    return `http://${host}:${this.port}${path}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}
