// @ts-check
import { inSteps } from './sqlite.mjs'

export default inSteps('sqlite-1000', 1000)
