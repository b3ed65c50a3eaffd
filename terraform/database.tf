resource "google_sql_database_instance" "this" {
  name                = var.name
  region              = var.region
  database_version    = var.database.version
  deletion_protection = var.deletion_protection

  settings {
    tier                        = var.database.tier
    edition                     = "ENTERPRISE"
    availability_type           = var.database.availability
    disk_type                   = "PD_SSD"
    disk_size                   = var.database.disk_gb
    disk_autoresize             = true
    deletion_protection_enabled = var.deletion_protection

    ip_configuration {
      ipv4_enabled    = false
      private_network = google_compute_network.this.id
      ssl_mode        = "ENCRYPTED_ONLY"
    }

    backup_configuration {
      enabled                        = true
      start_time                     = "18:00" # UTC
      point_in_time_recovery_enabled = true
      transaction_log_retention_days = min(7, var.database.keep_backups) # Google wants no fewer backups

      backup_retention_settings {
        retained_backups = var.database.keep_backups
      }
    }

    dynamic "database_flags" {
      for_each = merge(
        {
          log_checkpoints            = "on"
          log_lock_waits             = "on"
          log_temp_files             = "0"
          log_min_error_statement    = "error"
          log_min_duration_statement = "-1" # statements have DAGs' values in them
        },
        var.database.max_connections == null ? {} : { max_connections = tostring(var.database.max_connections) },
      )
      content {
        name  = database_flags.key
        value = database_flags.value
      }
    }
  }

  # The disk grows by itself: what it has become is no change to undo.
  lifecycle {
    ignore_changes = [settings[0].disk_size]
  }

  depends_on = [google_service_networking_connection.this, google_project_service.this]
}

resource "google_sql_database" "this" {
  name     = var.database.name
  instance = google_sql_database_instance.this.name
}

# Write-only: the password is sent to Google, and stands neither in the state nor in a plan.
resource "google_sql_user" "this" {
  name                = var.database.user
  instance            = google_sql_database_instance.this.name
  password_wo         = var.database_password
  password_wo_version = var.database_password_version
  deletion_policy     = "ABANDON" # PostgreSQL drops no role that owns tables
}
