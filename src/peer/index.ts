export { requirePeer } from './require-peer.js'
