resource "google_redis_instance" "this" {
  count = var.memorystore == null ? 0 : 1

  name                    = "${var.name}-broker"
  region                  = var.region
  tier                    = var.memorystore.tier
  memory_size_gb          = var.memorystore.memory_gb
  redis_version           = "REDIS_7_2"
  connect_mode            = "PRIVATE_SERVICE_ACCESS"
  authorized_network      = google_compute_network.this.id
  auth_enabled            = true
  transit_encryption_mode = "SERVER_AUTHENTICATION"

  # A broker that evicts loses tasks.
  redis_configs = { maxmemory-policy = "noeviction" }

  depends_on = [google_service_networking_connection.this, google_project_service.this]
}
