/** Which addresses lead into the public internet, and not to this machine, its network, or its provider's own services. */
import { BlockList, isIP, isIPv6 } from 'node:net'

const refused = new BlockList()

for (const [net, bits] of [
  ['0.0.0.0', 8], // this network
  ['10.0.0.0', 8],
  ['100.64.0.0', 10], // behind a provider's translation
  ['127.0.0.0', 8],
  ['169.254.0.0', 16], // link-local; where clouds answer about a machine, keys included
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24], // documentation
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15], // benchmarks
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4], // multicast
  ['240.0.0.0', 4], // reserved, broadcast
] as const) {
  refused.addSubnet(net, bits, 'ipv4')
}

/** Everything but global unicast, and those parts of it that stand for other addresses or for none. */
const allowedIpv6 = new BlockList()
allowedIpv6.addSubnet('2000::', 3, 'ipv6')
for (const [net, bits] of [
  ['2001::', 23], // protocol assignments, Teredo
  ['2001:db8::', 32], // documentation
  ['2002::', 16], // 6to4: holds any address of version 4
  ['3fff::', 20], // documentation
] as const) {
  refused.addSubnet(net, bits, 'ipv6')
}

export function isPublicAddress(address: string): boolean {
  const plain = address.replace(/%.*$/, '')
  const kind = isIP(plain)
  if (kind === 0) return false
  if (kind === 4) return !refused.check(plain, 'ipv4')
  const mapped = mappedAddress(plain)
  if (mapped !== undefined) return !refused.check(mapped, 'ipv4')
  return allowedIpv6.check(plain, 'ipv6') && !refused.check(plain, 'ipv6')
}

/** The address of version 4 in `::ffff:1.2.3.4`, which may be written as `::ffff:102:304`. */
function mappedAddress(address: string): string | undefined {
  if (!isIPv6(address)) return undefined
  const canonical = new URL(`http://[${address}]/`).hostname.slice(1, -1)
  const parts = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(canonical)
  if (parts === null) return undefined
  const [high, low] = [Number.parseInt(parts[1] as string, 16), Number.parseInt(parts[2] as string, 16)]
  return [high >> 8, high & 255, low >> 8, low & 255].join('.')
}
