/**
 * A TCP proxy in front of a Redis or Postgres server whose client can be cut off, or made deaf: no message of a channel
 * reaches it.
 */
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { messageFilter } from './postgres-messages.js'

type Link = { readonly client: Socket; readonly server: Socket; isListener: boolean }

/** What a client sends that wants to hear a channel, and what of an answer is left for one that is deaf. */
type Protocol = {
  readonly listening: RegExp
  /** Called for each connection, with whether it is deaf now; then for everything that its server says. */
  hearing(isDeaf: () => boolean): (data: Buffer) => Buffer
  url(port: number): string
}

const NOTHING = Buffer.alloc(0)

const PROTOCOLS = {
  redis: {
    listening: /\bsubscribe\r\n/i,
    // such a connection hears channels and nothing else
    hearing: (isDeaf) => (data) => (isDeaf() ? NOTHING : data),
    url: (port) => `redis://127.0.0.1:${port}`,
  },
  postgres: {
    listening: /\blisten\b/i,
    // a NotificationResponse: such a connection also asks, and has to hear its answers
    hearing: (isDeaf) => messageFilter((kind) => kind === 'A' && isDeaf()),
    url: (port) => `postgres://lane@127.0.0.1:${port}/lane`,
  },
} as const satisfies Record<string, Protocol>

export class DeafProxy {
  readonly #targetPort: number
  readonly #protocol: Protocol
  readonly #server: Server
  readonly #links = new Set<Link>()
  #isCut = false
  #isDeaf = false

  constructor(targetPort: number, protocol: keyof typeof PROTOCOLS = 'redis') {
    this.#targetPort = targetPort
    this.#protocol = PROTOCOLS[protocol]
    this.#server = createServer((client) => this.#accept(client))
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** Comes back with the address for a client. */
  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    return this.#protocol.url(this.port)
  }

  cut(): void {
    this.#isCut = true
    for (const link of this.#links) this.#end(link)
  }

  mend(): void {
    this.#isCut = false
  }

  /** What is said of a channel on a connection that has subscribed to one does not arrive any more. */
  deafen(): void {
    this.#isDeaf = true
  }

  async stop(): Promise<void> {
    this.cut()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #accept(client: Socket): void {
    const link = { client, server: connect(this.#targetPort, '127.0.0.1'), isListener: false }
    for (const socket of [client, link.server]) {
      socket.setNoDelay(true)
      socket.on('error', () => this.#end(link))
      socket.on('close', () => this.#end(link))
    }
    if (this.#isCut) return this.#end(link)
    this.#links.add(link)
    const hear = this.#protocol.hearing(() => this.#isDeaf && link.isListener)
    client.on('data', (data) => {
      link.isListener ||= this.#protocol.listening.test(data.toString('latin1'))
      link.server.write(data)
    })
    link.server.on('data', (data) => client.write(hear(data)))
  }

  #end(link: Link): void {
    this.#links.delete(link)
    link.client.destroy()
    link.server.destroy()
  }
}
