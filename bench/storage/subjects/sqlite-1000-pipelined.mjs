// @ts-check
import { pipelined } from './sqlite.mjs'

export default pipelined('sqlite-1000-pipelined', 1000)
