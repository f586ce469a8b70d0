// @ts-check
import { inSteps } from './sqlite.mjs'

export default inSteps('sqlite-100', 100)
