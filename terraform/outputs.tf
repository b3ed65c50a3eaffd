# `fab inventory.from-terraform` reads hosts, database and logging, and nothing else.
output "hosts" {
  description = "hosts of the inventory: addresses, roles, what a host overrides."
  value = { for name, host in var.hosts : name => merge(
    { address = google_compute_instance.host[name].network_interface[0].network_ip, roles = host.roles },
    host.celery == null ? {} : { celery = { for key, value in host.celery : key => value if value != null } },
  ) }
}

output "database" {
  description = "database of the inventory."
  value = merge(
    {
      host = google_sql_database_instance.this.private_ip_address
      name = google_sql_database.this.name
      user = google_sql_user.this.name
    },
    var.database.max_connections == null ? {} : { max_connections = var.database.max_connections },
  )
}

output "logging" {
  description = "logging of the inventory."
  value       = { bucket = google_storage_bucket.logs.name, prefix = var.logs.prefix }
}

output "database_ca" {
  description = "Certificate of the database's authority, for database.ca of the inventory. No secret."
  value       = join("\n", google_sql_database_instance.this.server_ca_cert[*].cert)
}

output "zones" {
  description = "Zone of each machine, for gcloud compute start-iap-tunnel."
  value       = { for name, host in google_compute_instance.host : name => host.zone }
}

output "deploy" {
  description = "The builds' account, its OS Login name (ssh.user of their inventory), and their pool; null without cloud_build."
  value = var.cloud_build == null ? null : {
    account = google_service_account.deploy[0].email
    login   = "sa_${google_service_account.deploy[0].unique_id}"
    pool    = google_cloudbuild_worker_pool.this[0].id
  }
}

output "memorystore" {
  description = "Address of Memorystore; null without it. Its AUTH string is in the state, and no output."
  value       = var.memorystore == null ? null : { host = google_redis_instance.this[0].host, port = google_redis_instance.this[0].port }
}
