"""Functions that map file statistics to numbers, for the index that finds files by range."""

from django.db import migrations

CREATE = """
CREATE FUNCTION public.upend_statistic(value text, otherwise float8) RETURNS float8
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE
    WHEN value ~ '^-?[0-9]{1,40}([.][0-9]{1,40})?$'
      THEN greatest(-1e30, least(1e30, value::numeric))::float8
    WHEN value ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}$'
      THEN replace(value, '-', '')::float8 * 1000000
    WHEN value ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,9})?([+]00)?$'
      THEN (replace(left(value, 10), '-', '') || replace(substr(value, 12, 8), ':', ''))::float8
    ELSE otherwise
  END
$$;
COMMENT ON FUNCTION public.upend_statistic IS
  'A file statistic as a number in the order of its type; never fails, whatever the text';
CREATE FUNCTION public.upend_statistic_box(
  table_id bigint, column_id bigint, min_value text, max_value text
) RETURNS box LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT box(
    point(table_id * 1000000.0 + column_id, public.upend_statistic(min_value, -1e30)),
    point(table_id * 1000000.0 + column_id, public.upend_statistic(max_value, 1e30))
  )
$$;
"""
DROP = """
DROP FUNCTION public.upend_statistic_box(bigint, bigint, text, text);
DROP FUNCTION public.upend_statistic(text, float8);
"""


class Migration(migrations.Migration):
    dependencies = [("catalog", "0001_initial")]
    operations = [migrations.RunSQL(CREATE, DROP)]
