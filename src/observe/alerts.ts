export class AlertManager {
  observe(): object {
    return {}
  }
}
