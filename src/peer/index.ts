export { checkPeer, importPeer, requirePeer } from './require-peer.js'
