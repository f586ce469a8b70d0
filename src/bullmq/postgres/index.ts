export { PostgresConnections } from './pg-side.js'
