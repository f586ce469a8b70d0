/** What a Postgres server says, without its messages of a kind. */

/** A byte that names the kind, and a length that counts itself and not that byte. */
const HEADER_BYTES = 5

/**
 * Takes what arrives, in pieces that end anywhere, and gives back what may pass. It has to see a connection from its
 * beginning, and one without TLS. A message whose beginning has passed passes as a whole.
 */
export function messageFilter(isDropped: (kind: string) => boolean): (piece: Buffer) => Buffer {
  let header: Buffer = Buffer.alloc(0)
  let bodyBytes = 0
  let isPassing = true
  const next = (rest: Buffer): Buffer => {
    if (bodyBytes > 0) {
      const body = rest.subarray(0, bodyBytes)
      bodyBytes -= body.length
      return body
    }
    const more = rest.subarray(0, HEADER_BYTES - header.length)
    header = Buffer.concat([header, more])
    return more
  }
  return (piece) => {
    const passed: Buffer[] = []
    for (let at = 0; at < piece.length; ) {
      const isBody = bodyBytes > 0
      const part = next(piece.subarray(at))
      at += part.length
      if (isBody) {
        if (isPassing) passed.push(part)
      } else if (header.length === HEADER_BYTES) {
        isPassing = !isDropped(header.toString('latin1', 0, 1))
        bodyBytes = header.readInt32BE(1) - 4
        if (isPassing) passed.push(header)
        header = Buffer.alloc(0)
      }
    }
    return Buffer.concat(passed)
  }
}
