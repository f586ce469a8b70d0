export { checkers } from './all.js'
