export { runScope } from './scope.js'
