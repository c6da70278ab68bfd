from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0007_texts_and_names")]
    operations = [
        migrations.AddField(
            model_name="campaign",
            name="archived_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
    ]
