/** A TCP proxy on this machine between a client and a server: what goes wrong on a network, on demand. */
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

type Mode = 'flow' | 'stall' | 'refuse' | 'lose answers'
type Link = { readonly client: Socket; readonly server: Socket }

export class TcpProxy {
  readonly #server: Server
  readonly #targetPort: number
  readonly #links = new Set<Link>()
  #mode: Mode = 'flow'
  #cutAt: string | undefined

  constructor(targetPort: number) {
    this.#targetPort = targetPort
    this.#server = createServer((client) => this.#accept(client))
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  get connections(): number {
    return this.#links.size
  }

  listen(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.on('error', reject)
      this.#server.listen(0, '127.0.0.1', resolve)
    })
  }

  /** Everything passes again, on new connections and on those that stalled. */
  flow(): void {
    this.#mode = 'flow'
    for (const link of this.#links) {
      link.client.resume()
      link.server.resume()
    }
  }

  /** Connections stay and nothing passes, in neither direction; new ones are taken and nothing passes on them. */
  stall(): void {
    this.#mode = 'stall'
    for (const link of this.#links) {
      link.client.pause()
      link.server.pause()
    }
  }

  /** On the connections that are there nothing passes any more, and nobody is told; new ones are as before. */
  forget(): void {
    for (const { client, server } of this.#links) {
      client.pause()
      server.pause()
    }
  }

  /** Ends all connections at once; new ones are taken as before. */
  cut(): void {
    for (const { client, server } of this.#links) {
      client.resetAndDestroy()
      server.resetAndDestroy()
    }
    this.#links.clear()
  }

  /** Ends all connections, and new ones as soon as they come. */
  refuse(): void {
    this.#mode = 'refuse'
    this.cut()
  }

  /** What is asked arrives and is done; with the first answer the connection ends instead. */
  loseAnswers(): void {
    this.#mode = 'lose answers'
  }

  /** The next connection on which this is asked ends instead; it does not arrive. */
  cutAt(asked: string): void {
    this.#cutAt = asked
  }

  /** Whether that has happened. */
  get hasCut(): boolean {
    return this.#cutAt === undefined
  }

  async stop(): Promise<void> {
    this.refuse()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #accept(client: Socket): void {
    if (this.#mode === 'refuse') {
      client.on('error', () => undefined)
      client.resetAndDestroy()
      return
    }
    const link: Link = { client, server: connect(this.#targetPort, '127.0.0.1') }
    this.#links.add(link)
    for (const socket of [link.client, link.server]) {
      socket.setNoDelay(true)
      socket.on('error', () => this.#end(link))
      socket.on('close', () => this.#end(link))
    }
    this.#carry(link)
    if (this.#mode === 'stall') {
      link.client.pause()
      link.server.pause()
    }
  }

  #carry(link: Link): void {
    link.client.on('data', (data) => {
      if (this.#cutAt === undefined || !data.toString('latin1').toLowerCase().includes(this.#cutAt)) {
        link.server.write(data)
        return
      }
      this.#cutAt = undefined
      this.#end(link)
    })
    link.server.on('data', (data) => {
      if (this.#mode === 'lose answers') this.#end(link)
      else link.client.write(data)
    })
  }

  #end(link: Link): void {
    this.#links.delete(link)
    link.client.destroy()
    link.server.destroy()
  }
}

/** Starts one in front of a port of this machine. */
export async function startProxy(targetPort: number): Promise<TcpProxy> {
  const proxy = new TcpProxy(targetPort)
  await proxy.listen()
  return proxy
}
