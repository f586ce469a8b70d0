/** While planted bugs are tried it is enough that a property fails: how short its counterexample can be does not matter. */
import fc from 'fast-check'

fc.configureGlobal({ endOnFailure: true })
