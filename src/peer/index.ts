export { checkPeer, requirePeer } from './require-peer.js'
