/**
 * While planted bugs are tried it is enough that a property fails: how short its counterexample can be does not matter.
 * Always the same histories, so that a bug that is caught today is caught tomorrow.
 */
import fc from 'fast-check'

fc.configureGlobal({ endOnFailure: true, seed: 1 })
