"""What came out: results in the bucket, pages of them, other formats of them, and their end."""
