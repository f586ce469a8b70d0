export { createRegistry, type PrometheusOptions } from './create-registry.js'
