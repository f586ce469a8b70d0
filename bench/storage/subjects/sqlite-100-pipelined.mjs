// @ts-check
import { pipelined } from './sqlite.mjs'

export default pipelined('sqlite-100-pipelined', 100)
