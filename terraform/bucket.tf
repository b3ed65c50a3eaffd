resource "google_storage_bucket" "logs" {
  name     = coalesce(var.logs.bucket, "${var.project}-${var.name}-logs")
  location = var.region

  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = false

  # Only what is under the prefix: backups in another folder (backup.place of the inventory) have a life of their own.
  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      age            = var.logs.keep_days
      matches_prefix = ["${var.logs.prefix}/"]
    }
  }

  lifecycle_rule {
    action {
      type = "AbortIncompleteMultipartUpload"
    }
    condition {
      age = 7
    }
  }
}
